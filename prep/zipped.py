"""A source that lies in a zip, read in place: nothing is unpacked, and no path from it is ever a path on the disk."""

import os
import stat
import struct
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

from prep.files import MAX_FILE_BYTES, Entry, FileTable, changed
from shards.errors import DataError

_LOCAL_HEADER = 30  # bytes before the name in a local file header
_LOCAL_EXTRA = 64  # bytes of extra field that the first read covers; longer ones cost a second read
_ENCRYPTED = 0x1
_HUGE = 1 << 50  # bytes of a member that is not there
# What the standard library raises for a damaged directory; OSError for a seek before the beginning.
_NOT_A_ZIP = (zipfile.BadZipFile, NotImplementedError, EOFError, IndexError, OSError, ValueError, struct.error)


class ZipFiles:
    """The members of a zip."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def stamp(self) -> str:
        """Size and modification time of the zip."""
        seen = self.root.stat()
        return f"{seen.st_size} bytes, mtime {seen.st_mtime_ns}"

    def table(self) -> FileTable:
        """All regular members, sorted by name, from the zip's directory."""
        found = self._members()
        entries = [
            Entry(_path(one), one.file_size, one.CRC, one.header_offset, one.compress_size, one.compress_type)
            for one in sorted(found, key=_path)
            if _is_file(one)
        ]
        for before, after in pairwise(entries):
            if before.path == after.path:
                raise DataError(
                    f"{self.root}: {after.path} occurs twice. Make the zip again, or give the unpacked folder"
                )
        if any(one.flag_bits & _ENCRYPTED for one in found):
            raise DataError(f"{self.root}: its members are encrypted. Unpack it and give the folder")
        return FileTable.of(entries)

    def _members(self) -> list[zipfile.ZipInfo]:
        """What the zip's directory names; each lies inside the file."""
        size = self.root.stat().st_size
        try:
            with zipfile.ZipFile(self.root) as archive:
                found = archive.infolist()
            if not all(
                one.filename and max(one.header_offset, one.compress_size) <= size and one.file_size < _HUGE
                for one in found
            ):
                raise zipfile.BadZipFile("its directory names members that are not there")
        except _NOT_A_ZIP as error:
            raise DataError(
                f"{self.root}: not a complete zip ({error}); it has {size:,} bytes. "
                "It was probably cut short: get it again"
            ) from error
        return found

    def reader(self, prefix: str) -> "ZipReader":
        """A reader of members below `prefix`."""
        return ZipReader(self.root, prefix)

    def close(self) -> None:
        """Nothing to free."""


def _path(info: zipfile.ZipInfo) -> str:
    """The name in the directory, which later Pythons replace by one from an extra field."""
    return info.orig_filename.split("\0", 1)[0]


def _is_file(info: zipfile.ZipInfo) -> bool:
    mode = info.external_attr >> 16
    return not info.is_dir() and (stat.S_IFMT(mode) in (0, stat.S_IFREG)) and not info.filename.startswith("__MACOSX/")


def _is_name(path: str, data: bytes) -> bool:
    """Whether the bytes are that name. Only the directory says for sure in which of the two codes they are."""
    name = data.split(b"\0", 1)[0]
    return path in (name.decode("utf-8", "replace"), name.decode("cp437"))


class ZipReader:
    """Reads members by one `pread` each, and checks their CRC-32."""

    def __init__(self, root: Path, prefix: str) -> None:
        self._root = root
        self._prefix = prefix
        self._descriptor = -1

    def read(self, entry: Entry) -> bytes:
        """The member's bytes; CRC-32 and size must be those of the zip's directory."""
        if entry.size > MAX_FILE_BYTES:
            raise changed(self._root, entry.path, f"{entry.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        data = self._unpacked(entry, self._packed(entry))
        if len(data) != entry.size or zlib.crc32(data) != entry.crc32:
            raise changed(self._root, entry.path, "its bytes are not those that the zip's directory announces (CRC-32)")
        return data

    def _packed(self, entry: Entry) -> bytes:
        path = self._prefix + entry.path
        block = self._bytes(entry, _LOCAL_HEADER + len(path) + _LOCAL_EXTRA + entry.packed, entry.offset)
        if len(block) < _LOCAL_HEADER or block[:4] != b"PK\3\4":
            raise changed(self._root, entry.path, f"no zip member at byte {entry.offset:,}")
        end = _LOCAL_HEADER + int.from_bytes(block[26:28], "little")
        start = end + int.from_bytes(block[28:30], "little")
        if not _is_name(path, block[_LOCAL_HEADER:end]):
            raise changed(self._root, entry.path, "it has another name in front of its bytes than in the directory")
        if len(block) < start + entry.packed:
            return self._bytes(entry, entry.packed, entry.offset + start)
        return block[start : start + entry.packed]

    def _bytes(self, entry: Entry, size: int, offset: int) -> bytes:
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise changed(self._root, entry.path, f"cannot be read ({error.strerror})") from error

    def _unpacked(self, entry: Entry, packed: bytes) -> bytes:
        if entry.method == zipfile.ZIP_STORED:
            return packed
        if entry.method != zipfile.ZIP_DEFLATED:
            raise DataError(
                f"{self._root}: {entry.path} is packed by method {entry.method}. Unpack the zip and give the folder"
            )
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.size + 1)
        except zlib.error as error:
            raise changed(self._root, entry.path, f"does not unpack ({error})") from error

    def __getstate__(self) -> dict[str, object]:
        return {"_root": self._root, "_prefix": self._prefix, "_descriptor": -1}
