"""Reads a source in a zip without unpacking it to a disk; paths in the zip are never used as paths on the disk."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from headrace.prep.sources.file_at import File, file_at
from headrace.prep.sources.files import CHUNK, MAX_FILE_BYTES, Entry, FileTable, LeftOut, changed
from headrace.prep.sources.zip_directory import read_directory
from headrace.shards.errors import DataError
from headrace.shards.open_files import refuse_limit
from headrace.shards.urls import Location

_LOCAL_HEADER = 30  # bytes before the name in a local file header
_MAX_NAME = 0xFFFF
_LOCAL_EXTRA = 64  # bytes of the extra field that the first read covers; a longer field needs a second read


class ZipFiles:
    """The members of a zip."""

    def __init__(self, root: Location) -> None:
        self.root = root
        self._file = file_at(root)
        self.left_out: LeftOut = []
        self.empty: list[str] = []

    def stamp(self) -> str:
        """Size and modification time of the zip."""
        return self._file.stamp()

    def table(self) -> FileTable:
        """All regular members, sorted by name, from the zip's directory."""
        with closing(file_at(self.root)) as file:  # a new object, which sees the file as it is now
            directory = read_directory(file)
        self.left_out, self.empty = directory.left_out, directory.empty
        return directory.files

    def reader(self, prefix: str) -> "ZipReader":
        """A reader of members below `prefix`."""
        # The size of a remote file is requested only once, so its object is used again.
        return ZipReader(self._file if self._file.remote else file_at(self.root), prefix)

    def unpack(self) -> None:
        """Do nothing: members are read in place."""

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def _is_name(path: str, data: bytes) -> bool:
    """Whether the bytes are the name `path` in one of the two encodings that a zip may use.

    Only the zip's directory, which is not read here, tells which encoding is used.
    """
    return path in (data.decode("utf-8", "surrogateescape"), data.decode("cp437"))


class ZipReader:
    """Reads each member of a zip with one `pread`, and checks the member's CRC-32."""

    def __init__(self, file: File, prefix: str) -> None:
        self._file, self._root = file, file.where
        self.prefix = prefix

    def is_remote(self, _: str) -> bool:
        """Whether the zip is at a URL; the answer is the same for all members."""
        return self._file.remote

    def read(self, entry: Entry) -> bytes:
        """The bytes of the member. Raises DataError if CRC-32 or size differ from the zip's directory."""
        if entry.size > MAX_FILE_BYTES:
            raise changed(self._root, entry.path, f"the file has {entry.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        data = self._unpacked(entry, self._packed(entry))
        self._check(entry, len(data), zlib.crc32(data))
        return data

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of the member in parts; size and CRC-32 are checked after the last part."""
        size = crc = 0
        for data in self._parts(entry):
            size, crc = size + len(data), zlib.crc32(data, crc)
            if size > entry.size:
                break
            yield data
        self._check(entry, size, crc)

    def start(self, entry: Entry, size: int) -> bytes:
        """The first bytes of the member, unchecked, because the CRC-32 covers only the whole member."""
        return next(iter(self._parts(entry)), b"")[:size]

    def time(self, _: Entry) -> int:
        """Return 0: the CRC-32 in the zip's directory shows a change of the member, so no time is needed."""
        return 0

    def _check(self, entry: Entry, size: int, crc: int) -> None:
        if (size, crc) != (entry.size, entry.crc32):
            raise changed(self._root, entry.path, "the member's bytes do not match the zip's directory (CRC-32)")

    def _packed(self, entry: Entry) -> bytes:
        name = len(self.prefix) + len(entry.path)
        block = self._bytes(entry, _LOCAL_HEADER + name + _LOCAL_EXTRA + entry.packed, entry.offset)
        start = self._start(entry, block)
        if len(block) < start + entry.packed:
            return self._bytes(entry, entry.packed, entry.offset + start)
        return block[start : start + entry.packed]

    def _start(self, entry: Entry, block: bytes) -> int:
        """Return the offset at which the compressed bytes begin in a member; `block` has the member's first bytes."""
        if len(block) < _LOCAL_HEADER or block[:4] != b"PK\3\4":
            raise changed(self._root, entry.path, f"no member begins at byte {entry.offset:,} of the zip")
        end = _LOCAL_HEADER + int.from_bytes(block[26:28], "little")
        start = end + int.from_bytes(block[28:30], "little")
        if not _is_name(self.prefix + entry.path, block[_LOCAL_HEADER:end]):
            raise changed(
                self._root, entry.path, "the name in the member's header is not the name in the zip's directory"
            )
        return start

    def _bytes(self, entry: Entry, size: int, offset: int) -> bytes:
        try:
            return self._file.pread(size, offset)
        except OSError as error:
            refuse_limit(error)
            raise changed(self._root, entry.path, f"the zip cannot be read ({error.strerror})") from error

    def _unpacked(self, entry: Entry, packed: bytes) -> bytes:
        inflater = self._inflater(entry)
        return packed if inflater is None else self._inflated(entry, inflater, packed, entry.size + 1)

    def _parts(self, entry: Entry) -> Iterator[bytes]:
        """The content of the member in parts of at most CHUNK bytes."""
        inflater = self._inflater(entry)
        first = entry.offset + self._start(entry, self._bytes(entry, _LOCAL_HEADER + _MAX_NAME, entry.offset))
        for at in range(0, entry.packed, CHUNK):
            data = self._bytes(entry, min(CHUNK, entry.packed - at), first + at)
            if inflater is None:
                yield data
                continue
            while data:
                yield self._inflated(entry, inflater, data, CHUNK)
                data = inflater.unconsumed_tail
        if inflater is not None:
            yield inflater.flush()  # the rest of the last copy, 258 bytes at most

    def _inflater(self, entry: Entry) -> Any:
        """The object that unpacks the member; None if the member is stored uncompressed."""
        if entry.method == zipfile.ZIP_STORED:
            return None
        if entry.method != zipfile.ZIP_DEFLATED:
            raise DataError(
                f"{self._root}: {entry.path} is compressed with method {entry.method}, which is not supported. Unpack "
                "the zip and give the folder"
            )
        return zlib.decompressobj(-zlib.MAX_WBITS)

    def _inflated(self, entry: Entry, inflater: Any, packed: bytes, most: int) -> bytes:
        try:
            return bytes(inflater.decompress(packed, most))
        except zlib.error as error:
            raise changed(self._root, entry.path, f"the member does not unpack ({error})") from error
