"""Reads the directory at the end of a zip into columns of numbers and paths.

The standard library makes an object of 0.8 KB for each member; in a large prep, these objects took most of the memory.
Here a member takes only the space of its path and of five numbers. The format is PKWARE's APPNOTE 6.3.10: sections
4.3.12 (entries of the directory), 4.3.14 to 4.3.16 (its end record), 4.4.4 (flags) and 4.5.3 (the extra field
with numbers of 64 bits).
"""

import stat
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from headrace.prep.sources.file_at import File
from headrace.prep.sources.files import SPECIAL, SYMBOLIC, FileTable, LeftOut, without_files
from headrace.shards.errors import DataError
from headrace.shards.urls import Location

_END = struct.Struct("<4s4H2LH")  # signature, disks, entries here, entries, bytes, offset, comment's length
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_MAX_COMMENT = 0xFFFF
_IN_EXTRA = 0xFFFFFFFF  # a 32-bit value that means: see the 64-bit number in the extra field
_ENCRYPTED, _UTF8 = 0x1, 0x800
_HUGE = 1 << 50  # impossible size of a member in bytes


class _Damaged(Exception):  # noqa: N818 - becomes a DataError that names the zip
    """The directory of a zip is damaged; the message says how."""


class _End(NamedTuple):
    """The facts that the end record of a zip gives about its directory."""

    entries: int
    size: int
    start: int  # in the file
    shift: int  # bytes before the zip in its file, to be added to all offsets
    wide: bool  # whether `entries` is a 64-bit number


@dataclass(frozen=True)
class Directory:
    """The regular files of a zip, sorted by path.

    `left_out` has all other members, such as links and devices; `empty` has folders without files.
    """

    files: FileTable
    left_out: LeftOut
    empty: list[str]


def read_directory(file: File) -> Directory:
    """Read the directory of a zip. Raises DataError for a damaged directory, a duplicate path, or encryption."""
    try:
        size = file.size
        end = _find_end(file, size)
        data = file.pread(end.size, end.start)
        return _parse(file.where, data, end, size)
    except (_Damaged, OSError, struct.error) as error:
        raise DataError(
            f"{file.where}: not a complete zip ({error}); it has {file.size:,} bytes. "
            "It was probably cut short: get it again"
        ) from error


def _find_end(file: File, size: int) -> _End:
    """Return the facts of the zip's end record: of the 64-bit record if there is one, else of the 32-bit record."""
    first = max(0, size - _END.size - _MAX_COMMENT)
    tail = file.pread(size - first, first)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + _END.size:
        raise _Damaged("the file has no zip directory at its end")
    _, _, _, _, entries, length, offset, _ = _END.unpack_from(tail, at)
    place, wide = first + at, False
    before = file.pread(_END64.size + _LOCATOR.size, max(0, place - _END64.size - _LOCATOR.size))
    if before[_END64.size : _END64.size + 4] == b"PK\6\7" and before[:4] == b"PK\6\6":
        *_, entries, length, offset = _END64.unpack_from(before)
        place, wide = place - _END64.size - _LOCATOR.size, True
    start = place - length
    if start < 0 or start - offset < 0:
        raise _Damaged(
            f"the directory of {length:,} bytes at byte {offset:,} does not fit before the end record at byte {place:,}"
        )
    return _End(entries, length, start, start - offset, wide)


def _parse(root: Location, data: bytes, end: _End, size: int) -> Directory:
    paths: list[str] = []
    left_out: LeftOut = []
    folders: list[str] = []
    numbers = array("q")
    encrypted, count = False, 0
    for path, flags, mode, values in _entries(data, end.shift):
        count += 1
        packed, offset = values[3], values[2]
        if not path or not 0 <= offset <= size or packed > size or values[0] >= _HUGE:
            raise _Damaged("its directory describes impossible members, such as members outside the file")
        encrypted |= bool(flags & _ENCRYPTED)
        if path.endswith("/") and not values[0]:
            folders.append(path)
        elif path.endswith("/"):
            left_out.append((path, "a folder with the content of a file"))
        elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
            paths.append(path)
            numbers.extend(values)
        elif not stat.S_ISDIR(mode) or values[0]:
            left_out.append((path, SYMBOLIC if stat.S_ISLNK(mode) else SPECIAL))
    if end.entries != (count if end.wide else count & 0xFFFF):  # writers without the 64-bit form let the count overflow
        raise _Damaged(f"its directory holds {count:,} members, but its end record says {end.entries:,}")
    if encrypted:
        raise DataError(f"{root}: its members are encrypted. Unpack the zip and give the folder")
    table = _sorted(root, paths, numbers)
    left_out.sort()
    return Directory(table, left_out, without_files(folders, table.paths, [path for path, _ in left_out]))


def _entries(data: bytes, shift: int) -> Iterator[tuple[str, int, int, tuple[int, int, int, int, int]]]:
    """Yield path, flags and Unix mode of each member, and the numbers for its `Entry` (files.py)."""
    at = 0
    while at < len(data):
        if len(data) < at + _ENTRY.size or data[at : at + 4] != b"PK\1\2":
            raise _Damaged(f"its directory is broken at byte {at:,} of {len(data):,}")
        entry = _ENTRY.unpack_from(data, at)
        _, _, _, flags, method, _, _, crc, packed, size, name, extra, comment, _, _, attributes, offset = entry
        start = at + _ENTRY.size
        at = start + name + extra + comment
        if at > len(data):
            raise _Damaged("its directory ends inside a member")
        path = data[start : start + name].decode("utf-8" if flags & _UTF8 else "cp437", "surrogateescape")
        if _IN_EXTRA in (size, packed, offset):
            size, packed, offset = _wide(data[start + name : start + name + extra], size, packed, offset)
        yield path, flags, attributes >> 16, (size, crc, offset + shift, packed, method)


def _wide(extra: bytes, *numbers: int) -> tuple[int, ...]:
    """Return the numbers; numbers too large for 32 bits are taken from the extra field, which has 64-bit numbers."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            found = iter(struct.unpack(f"<{length // 8}Q", extra[4 : 4 + length // 8 * 8]))
            try:
                return tuple(next(found) if one == _IN_EXTRA else one for one in numbers)
            except RuntimeError as error:  # from a StopIteration inside a generator
                raise _Damaged("a 64-bit number is missing from its directory") from error
        extra = extra[4 + length :]
    return numbers


def _sorted(root: Location, paths: list[str], numbers: "array[int]") -> FileTable:
    order = np.array(sorted(range(len(paths)), key=paths.__getitem__), np.int64)
    columns = np.array(numbers, np.int64).reshape(-1, 5)
    columns = np.column_stack([columns, np.zeros(len(columns), np.int64)])  # no times: every CRC-32 is known
    table = FileTable(
        [paths[row] for row in order.tolist()], *(np.ascontiguousarray(columns[order, one]) for one in range(6))
    )
    for before, after in zip(table.paths, table.paths[1:], strict=False):
        if before == after:
            raise DataError(f"{root}: {after} occurs twice. Make the zip again, or give the unpacked folder")
    return table
