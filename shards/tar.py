"""Plain ustar tars: a writer for samples, and a walk over the members of any tar.

The writer makes headers from a template (mtime 0, uid and gid 0, mode 0644): the same input gives the same bytes,
and it takes a fraction of the time of the standard library (docs/decisions/0001-own-tar-writer.md has the figure).
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from shards.errors import DataError

BLOCK = 512
RECORD = 20 * BLOCK  # a tar is padded to whole records, as tar(1) expects
JPEG_EXTENSION = "jpg"
LABEL_EXTENSION = "cls"
_MAX_NAME = 100  # ustar's name field
_MAX_SIZE = 8**11 - 1  # eleven octal digits
_MAX_EXTENSION = 1 << 20  # bytes of a PAX header or a GNU long name
_BUFFER = 1 << 20
_REGULAR = (b"0", b"\0")
_HARD_LINK, _SYMBOLIC_LINK = b"1", b"2"
_PAX, _PAX_GLOBAL, _GNU_LONG_NAME, _GNU_LONG_LINK = b"x", b"g", b"L", b"K"
_EXTENSIONS = (_PAX, _GNU_LONG_NAME, _GNU_LONG_LINK)  # they say something of the member that follows

_BEFORE_SIZE = b"0000644\0" + b"0000000\0" + b"0000000\0"  # mode, uid, gid
_BEFORE_SUM = b"00000000000\0"  # mtime
_AFTER_SUM = (b"0" + b"\0" * 100 + b"ustar\x0000").ljust(BLOCK - 156, b"\0")  # type, link, magic, version, the rest
_FIXED_SUM = sum(_BEFORE_SIZE) + sum(_BEFORE_SUM) + sum(_AFTER_SUM) + 8 * ord(" ")  # the sum counts itself as spaces


class Member(NamedTuple):
    """A regular file in a tar: its name, the byte where its content starts, and the content's size."""

    name: str
    offset: int
    size: int


class Link(NamedTuple):
    """A member that is another name: of an earlier member of the tar, or, when symbolic, of any path."""

    name: str
    target: str
    symbolic: bool


def header(name: bytes, size: int) -> bytes:
    """The 512 bytes before a member's content."""
    digits = b"%011o\0" % size
    total = _FIXED_SUM + sum(name) + sum(digits)
    return b"".join((name.ljust(_MAX_NAME, b"\0"), _BEFORE_SIZE, digits, _BEFORE_SUM, b"%06o\0 " % total, _AFTER_SUM))


def padding(size: int) -> bytes:
    """Zeros from the end of a content of `size` bytes to the next block."""
    return b"\0" * (-size % BLOCK)


@lru_cache(maxsize=4096)
def _label_content(label: int) -> tuple[int, bytes]:
    """Size and padded content of a label member: the integer in ASCII, as the webdataset library decodes it."""
    text = b"%d" % label
    return len(text), text.ljust(BLOCK, b"\0")


class TarWriter:
    """Writes samples one after another and keeps the running position and SHA-256 of the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._hash = hashlib.sha256()
        self.position = 0

    def add(self, key: str, jpeg: bytes, label: int) -> int:
        """Append `key.jpg` and `key.cls`; return the offset of the JPEG's first byte."""
        name, size = key.encode("ascii"), len(jpeg)
        if len(name) + 4 > _MAX_NAME or size > _MAX_SIZE:
            raise DataError(
                f"{key[:80]}: a ustar member holds names to {_MAX_NAME} and contents to {_MAX_SIZE:,} bytes"
            )
        digits, content = _label_content(label)
        offset = self.position + BLOCK
        self._put(header(name + b".jpg", size), jpeg, padding(size), header(name + b".cls", digits), content)
        return offset

    def _put(self, *chunks: bytes) -> None:
        written = sum(map(len, chunks))
        self._chunks += chunks
        self._buffered += written
        self.position += written
        if self._buffered >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._chunks)
        self._hash.update(data)
        self._stream.write(data)
        self._chunks.clear()
        self._buffered = 0

    def close(self) -> str:
        """Write the end of the archive; return the SHA-256 of the whole file."""
        end = self.position + 2 * BLOCK
        self._put(b"\0" * (2 * BLOCK + -end % RECORD))
        self._flush()
        return self._hash.hexdigest()


def members(path: Path) -> Iterator[Member]:
    """Walk the regular files of a tar (ustar, GNU or PAX), reading headers only."""
    return (one for one in members_and_links(path) if isinstance(one, Member))


def members_and_links(path: Path) -> Iterator[Member | Link]:
    """The same with links, which are not followed here."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield from _walk(path, descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _walk(path: Path, descriptor: int, end: int) -> Iterator[Member | Link]:
    position, ahead = 0, _Ahead()
    while True:
        block = os.pread(descriptor, BLOCK, position)
        if len(block) == BLOCK and not any(block):
            return
        name, size, kind = _parse(path, position, block)
        content = position + BLOCK
        if kind in _EXTENSIONS and size > _MAX_EXTENSION:
            raise DataError(f"{path}: byte {position:,}: a name of {size:,} bytes: the file is damaged. Get it again")
        if kind not in (*_EXTENSIONS, _PAX_GLOBAL) and ahead.size >= 0:
            size = ahead.size
        position = content + size + -size % BLOCK
        if content + size > end:
            raise DataError(
                f"{path}: cut short: {name} needs bytes to {content + size:,}, the file has {end:,}. Get it again"
            )
        if kind in _EXTENSIONS:
            ahead.read(kind, os.pread(descriptor, size, content))
        elif kind != _PAX_GLOBAL:
            if kind in _REGULAR:
                yield Member(ahead.name or name, content, size)
            elif kind in (_HARD_LINK, _SYMBOLIC_LINK):
                target = block[157:257].split(b"\0", 1)[0].decode("utf-8", "replace")
                yield Link(ahead.name or name, ahead.target or target, kind == _SYMBOLIC_LINK)
            ahead = _Ahead()


@dataclass
class _Ahead:
    """What extensions say of the member that follows them."""

    name: str = ""
    target: str = ""
    size: int = -1

    def read(self, kind: bytes, data: bytes) -> None:
        """Take over what an extension of this kind holds."""
        if kind == _GNU_LONG_NAME:
            self.name = data.rstrip(b"\0").decode("utf-8", "replace")
        elif kind == _GNU_LONG_LINK:
            self.target = data.rstrip(b"\0").decode("utf-8", "replace")
        else:
            records = pax_records(data)
            self.name, self.target = records.get("path", self.name), records.get("linkpath", self.target)
            self.size = int(records["size"]) if records.get("size", "").isdecimal() else -1


def _parse(path: Path, position: int, block: bytes) -> tuple[str, int, bytes]:
    """Name, content size and type of the header at `position`."""
    try:
        expected = _octal(block[148:156])
        long = bool(block[124] & 0x80)  # GNU's binary form, for files over 8 GiB
        size = int.from_bytes(block[125:136]) if long else _octal(block[124:136])
    except (ValueError, IndexError):
        expected, size = -1, 0
    if len(block) < BLOCK or sum(block) - sum(block[148:156]) + 8 * ord(" ") != expected:
        raise DataError(f"{path}: no tar header at byte {position:,}: the file is damaged or not a tar. Get it again")
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    return name.decode("utf-8", "replace"), size, block[156:157]


def _octal(field: bytes) -> int:
    """A number in a header; never below 0, which would lead the walk backwards. ValueError when it is none."""
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        raise ValueError(field)
    return int(digits or b"0", 8)


def pax_records(data: bytes) -> dict[str, str]:
    """The `length key=value` lines of a PAX header; lines that do not parse are left out."""
    records: dict[str, str] = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            break
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        data = data[int(length) :]
    return records
