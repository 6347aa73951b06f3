"""Reads one file of a source, on a disk or at a URL: its size, the time of its last change, and bytes at any position.

LocalFile and RemoteFile can be pickled. They open the file or the connection at the first use.
"""

import io
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import unquote, urlunsplit

from headrace.shards import regular
from headrace.shards.errors import DataError
from headrace.shards.remote import Entry, Remote
from headrace.shards.urls import Location, Url

_BLOCK = 1 << 20  # bytes that a stream of a remote file requests at once
_SECOND = 1_000_000_000


class File(Protocol):
    """A file that is read in parts."""

    where: Location
    remote: bool

    @property
    def size(self) -> int:
        """The size in bytes. Raises OSError or HeadraceError if the size cannot be determined."""

    def stamp(self) -> str:
        """A text with the file's size and the time of its last change, which identifies the state of the file."""

    def pread(self, size: int, offset: int) -> bytes:
        """At most `size` bytes from `offset` on; fewer only at the end of the file."""

    def stream(self) -> BinaryIO:
        """The whole file as a seekable stream."""


class LocalFile:
    """A file on a disk."""

    remote = False

    def __init__(self, where: Path) -> None:
        self.where: Location = where
        self._path = where
        self.folder: Location = where.absolute().parent
        self._descriptor = -1

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self._path.stat().st_size

    @property
    def time(self) -> int:
        """The time of the last change in nanoseconds."""
        return self._path.stat().st_mtime_ns

    def stamp(self) -> str:
        """A text with the file's size and the time of its last change, which identifies the state of the file."""
        seen = self._path.stat()
        return f"{seen.st_size} bytes, mtime {seen.st_mtime_ns}"

    def pread(self, size: int, offset: int) -> bytes:
        """At most `size` bytes from `offset` on."""
        if self._descriptor < 0:
            self._descriptor = regular.descriptor(self._path)
        return os.pread(self._descriptor, size, offset)

    def stream(self) -> BinaryIO:
        """The whole file as a seekable stream."""
        return regular.opened(self._path)

    def close(self) -> None:
        """Close the file if reading has opened it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_descriptor": -1}


class RemoteFile:
    """A file at a URL.

    Size and time are requested at the first access and at each call of `stamp`, and kept in between. Bytes are always
    requested from the server.
    """

    remote = True

    def __init__(self, where: Url) -> None:
        self.where: Location = where
        folder, _, name = where.parts.path.rpartition("/")
        self.url = where
        self.folder, self.name = Url(urlunsplit(where.parts._replace(path=folder))), unquote(name)
        self._store: Remote | None = None
        self._entry: Entry | None = None

    @property
    def store(self) -> Remote:
        """The storage that holds the file."""
        if self._store is None:
            self._store = Remote(self.folder)
        return self._store

    @property
    def entry(self) -> Entry:
        """Name, size and time of the file, as the server gives them. Raises AbsentError if the file does not exist."""
        if self._entry is None:
            self._entry = self.store.entry(self.name)
        return self._entry

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.entry.bytes

    @property
    def time(self) -> int:
        """The time of the last change in nanoseconds."""
        return nanoseconds(self.entry.modified)

    def stamp(self) -> str:
        """A text with the file's current size and the time of its last change, which identifies the file's state."""
        self._entry = seen = self.store.entry(self.name)
        return f"{seen.bytes} bytes, modified {seen.modified.isoformat()}"

    def pread(self, size: int, offset: int) -> bytes:
        """At most `size` bytes from `offset` on."""
        return self.store.range(self.name, offset, max(0, min(size, self.size - offset)))

    def read(self, most: int) -> bytes:
        """The whole file, read with one request. Raises DataError if it has more than `most` bytes."""
        return self.store.read(self.name, most)

    def stream(self) -> BinaryIO:
        """The whole file as a seekable stream, which requests one block of bytes at a time."""
        return cast(BinaryIO, io.BufferedReader(_Ranges(self), _BLOCK))

    def pieces(self) -> Iterator[memoryview]:
        """The whole file in pieces, read with one request. Raises DataError if its length has changed."""
        left = self.size
        for piece in self.store.stream(self.name):
            left -= len(piece)
            yield piece
        if left:
            raise DataError(
                f"{self.where}: received {self.size - left:,} bytes, expected {self.size:,}. Run the command again"
            )

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def once(self) -> BinaryIO:
        """The whole file as a stream that can be read only once, from beginning to end."""
        return cast(BinaryIO, io.BufferedReader(_Pieces(self), _BLOCK))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_store": None}


class _Ranges(io.RawIOBase):
    """A file at a URL as a seekable raw stream of Python."""

    def __init__(self, file: RemoteFile) -> None:
        self._file, self._place = file, 0

    def readable(self) -> bool:
        """Return True, because the file can be read."""
        return True

    def seekable(self) -> bool:
        """Return True, because any position can be read next."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position; return the position in bytes from the start of the file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._file.size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """The position in bytes from the start of the file."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer; return their number."""
        data = self._file.pread(len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


class _Pieces(io.RawIOBase):
    """A file at a URL as a raw stream of Python that can be read only once, from beginning to end."""

    def __init__(self, file: RemoteFile) -> None:
        self._pieces = file.pieces()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True, because the file can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read bytes into the beginning of a buffer; return their number."""
        if not self._rest:
            self._rest = next(self._pieces, memoryview(b""))
        part = self._rest[: len(buffer)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)


def file_at(where: Location) -> LocalFile | RemoteFile:
    """An object that reads the file at a path or URL."""
    return RemoteFile(where) if isinstance(where, Url) else LocalFile(where)


def nanoseconds(time: datetime) -> int:
    """Convert a time to nanoseconds since 1970, the unit of file times on a disk; the result is rounded to seconds."""
    return round(time.timestamp()) * _SECOND
