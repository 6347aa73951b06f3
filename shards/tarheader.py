"""Parses the headers of a tar: numbers, names, checksums, and the records of PAX headers.

The formats are those of POSIX (ustar and pax) and of GNU tar's manual: numbers in base 256, long names, sparse files.
Duplicate or inconsistent values raise ValueError with the reason; nothing is guessed.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from headrace.shards.tar import BLOCK

_RECORD_LENGTH = re.compile(rb"(\d{1,19}) ")
_SIZE = re.compile("0*([0-9]{1,19})")  # decimal digits of a 64-bit number
_USED, _SPARSE = ("path", "linkpath", "size"), "GNU.sparse."
_SIZE_FIELD, _SUM_FIELD, _KIND = slice(124, 136), slice(148, 156), slice(156, 157)
_MORE_SPARSE, _MORE_SPARSE_YET = (
    482,
    504,
)  # offsets of the flag that a block of a sparse file's map follows: in a header, in such a block
_HIGH_BYTES = bytes(range(128, 256))


class Header(NamedTuple):
    """One header. Names are decoded with `text`."""

    name: str
    size: int  # bytes of content; only some kinds have any
    kind: bytes
    target: str  # of a link


class NoHeaderError(ValueError):
    """A block of 512 bytes is not a tar header."""


def text(name: bytes) -> str:
    """Decode a name: bytes that are not UTF-8 become lone surrogates, so that different names stay different."""
    return name.decode("utf-8", "surrogateescape")


def parse(block: bytes) -> Header:
    """Parse the header in a block. Raises NoHeaderError unless the checksum is right."""
    if len(block) < BLOCK or not _sums_up(block):
        raise NoHeaderError
    name = _until_nul(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = _until_nul(block[345:500]) + b"/" + name
    return Header(text(name), _number(block[_SIZE_FIELD]), block[_KIND], text(_until_nul(block[157:257])))


def _sums_up(block: bytes) -> bool:
    """Whether the block's checksum is the sum of its bytes, taken as unsigned or, as old programs do, signed."""
    try:
        expected = _number(block[_SUM_FIELD])
    except ValueError:
        return False
    counted = block[:148] + b" " * 8 + block[156:]
    total = sum(counted)
    return expected == total or expected == total - 256 * (len(counted) - len(counted.translate(None, _HIGH_BYTES)))


def _until_nul(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _number(field: bytes) -> int:
    """Parse a number: octal digits, or base 256 after a byte 0x80.

    Negative numbers are refused: a negative size would lead backwards in the tar.
    """
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    digits = _until_nul(field).strip()
    if digits.strip(b"01234567"):
        raise NoHeaderError
    return int(digits or b"0", 8)


def long_name(data: bytes) -> str:
    """The name in the content of a GNU header for a long name or a long link."""
    return text(_until_nul(data))


class Records(dict[str, str]):
    """The records of PAX headers that give a member's name, link target, size or sparse format."""

    @classmethod
    def of(cls, data: bytes) -> "Records":
        """The records in the content of a PAX header."""
        used = {key: value for key, value in _records(data) if key in _USED or _is_sparse(key)}
        empty = [key for key in _USED if used.get(key) == ""]
        if empty:
            raise ValueError(f"an invalid PAX header ({empty[0]} is empty)")
        return cls(used)

    @property
    def path(self) -> str:
        """The member's name; empty if there is none."""
        return self.get(_SPARSE + "name", "") or self.get("path", "")

    @property
    def size(self) -> int | None:
        """The size of the content in bytes, or None if no record gives it."""
        value = self.get("size")
        if value is None:
            return None
        found = _SIZE.fullmatch(value)
        if found is None:
            raise ValueError(f"an invalid PAX header (size is {value[:20]!r}, not a number)")
        return int(found[1])

    @property
    def sparse(self) -> bool:
        """Whether the member is a sparse file in one of the PAX forms."""
        return any(_is_sparse(key) for key in self if key != _SPARSE + "name")


def _is_sparse(key: str) -> bool:
    return key.startswith(_SPARSE)


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the key and the value of each `length key=value` line of a PAX header."""
    at = 0
    while at < len(data) and data[at]:  # some programs count zeros after the last line
        found = _RECORD_LENGTH.match(data, at)
        end = at + int(found[1]) if found else 0
        key, equals, value = data[found.end() if found else at : max(end - 1, at)].partition(b"=")
        if not found or end <= found.end() or data[end - 1 : end] != b"\n" or not equals or not key:
            raise ValueError(f"a PAX header with an invalid record ({data[at : at + 20]!r} is not `length key=value`)")
        yield text(key), text(value)
        at = end


def sparse_map_follows(block: bytes, *, first: bool) -> bool:
    """Whether another block of the map of a sparse file (old GNU format) follows `block`.

    If `first` is true, `block` is the file's header, otherwise it is a block of the map.
    """
    return bool(block[_MORE_SPARSE if first else _MORE_SPARSE_YET])
