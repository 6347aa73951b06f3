"""A source that lies in a zip, read in place: nothing is unpacked, and no path from it is ever a path on the disk."""

import os
import zipfile
import zlib
from pathlib import Path

from prep.files import MAX_FILE_BYTES, Entry, FileTable, LeftOut, changed
from prep.zipdir import read_directory
from shards.errors import DataError

_LOCAL_HEADER = 30  # bytes before the name in a local file header
_LOCAL_EXTRA = 64  # bytes of extra field that the first read covers; longer ones cost a second read


class ZipFiles:
    """The members of a zip."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: LeftOut = []

    def stamp(self) -> str:
        """Size and modification time of the zip."""
        seen = self.root.stat()
        return f"{seen.st_size} bytes, mtime {seen.st_mtime_ns}"

    def table(self) -> FileTable:
        """All regular members, sorted by name, from the zip's directory."""
        directory = read_directory(self.root)
        self.left_out = directory.left_out
        return directory.files

    def reader(self, prefix: str) -> "ZipReader":
        """A reader of members below `prefix`."""
        return ZipReader(self.root, prefix)

    def close(self) -> None:
        """Nothing to free."""


def _is_name(path: str, data: bytes) -> bool:
    """Whether the bytes are that name. Only the directory says for sure in which of the two codes they are."""
    return path in (data.decode("utf-8", "surrogateescape"), data.decode("cp437"))


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
