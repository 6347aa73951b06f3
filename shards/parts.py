"""Writes and reads files with a SHA-256 for each part, so that reading a few bytes checks only one part of the file."""

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

from headrace.shards import regular, system

PART = 1 << 20
"""The size of a part in bytes; the last part of a file may be shorter."""
_HELD = 1 << 23  # a file with a single sum that is larger is not held in memory


class OtherFileError(Exception):
    """The file does not have the expected size or SHA-256."""


class SummingWriter(io.RawIOBase):
    """Passes bytes on to `stream`, counts them (`bytes`), and hashes all of them (`sha256`) and each part (`parts`)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._whole, self._part = hashlib.sha256(), hashlib.sha256()
        self._done: list[str] = []
        self.bytes = 0

    def writable(self) -> bool:
        """Return True, because the stream is open for writing."""
        return True

    def tell(self) -> int:
        """The number of bytes written so far."""
        return self.bytes

    def write(self, data: object) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._stream.write(view)
        self._whole.update(view)
        first = 0
        while first < len(view):
            last = min(first + PART - self.bytes % PART, len(view))
            self._part.update(view[first:last])
            self.bytes += last - first
            first = last
            if self.bytes % PART == 0:
                self._done.append(self._part.hexdigest())
                self._part = hashlib.sha256()
        return len(view)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes, in hex."""
        return self._whole.hexdigest()

    @property
    def parts(self) -> tuple[str, ...]:
        """The SHA-256 of each part, in hex."""
        return (*self._done, *([self._part.hexdigest()] if self.bytes % PART else []))


class CheckedReader(io.RawIOBase):
    """Reads a file, and returns no byte before the SHA-256 of the part that contains this byte has been verified.

    A part is read when one of its bytes is requested, and kept until another part is read. If only the SHA-256 of the
    whole file is given, a small file is treated as one part. A large file is then read and checked when it is opened,
    and each part that is read later must still have the same SHA-256. Raises OtherFileError if the file does not have
    the expected size or SHA-256, OSError if reading fails.
    """

    def __init__(self, path: Path, size: int, sha256: str, parts: tuple[str, ...] | None) -> None:
        self._size, self._at = size, 0
        held = parts is None and size <= _HELD
        self._length, self._sums = (max(size, 1), (sha256,)) if held else (PART, parts or ())
        self._kept: tuple[int, memoryview] = (-1, memoryview(b""))
        self._descriptor = -1
        self._descriptor = regular.descriptor(path)
        try:
            self._check_size()
            if parts is None and not held:
                self._sums = self._summed(sha256)
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        """Return True, because the file is open for reading."""
        return True

    def seekable(self) -> bool:
        """Return True, because any position can be read next."""
        return True

    def tell(self) -> int:
        """The position of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, as `io.IOBase.seek` does; return the position in bytes from the start of the file."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer at the end of the file; all remaining bytes if `size` is negative."""
        last = self._size if size < 0 else min(self._at + size, self._size)
        pieces = []
        while self._at < last:
            number = self._at // self._length
            start = number * self._length
            pieces.append(self._part(number)[self._at - start : last - start])
            self._at += len(pieces[-1])
        return b"".join(pieces)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._kept = -1, (-1, memoryview(b""))
        super().close()

    def _check_size(self) -> None:
        seen = os.fstat(self._descriptor).st_size
        if seen != self._size:
            raise OtherFileError(f"it has {seen:,} bytes, expected {self._size:,}")

    def _summed(self, sha256: str) -> tuple[str, ...]:
        """The SHA-256 of each part of the file. Raises OtherFileError unless the whole file has the given SHA-256."""
        whole, sums = hashlib.sha256(), []
        for first in range(0, self._size, PART):
            data = self._bytes(first)
            whole.update(data)
            sums.append(hashlib.sha256(data).hexdigest())
        if whole.hexdigest() != sha256:
            raise OtherFileError("its SHA-256 differs")
        return tuple(sums)

    def _part(self, number: int) -> memoryview:
        if self._kept[0] != number:
            data = self._bytes(number * self._length)
            if hashlib.sha256(data).hexdigest() != self._sums[number]:
                raise OtherFileError("its SHA-256 differs")
            self._kept = number, memoryview(data)
        return self._kept[1]

    def _bytes(self, first: int) -> bytearray:
        """The bytes of the part that begins at byte `first`; fewer if the open file has been shortened."""
        data = bytearray(min(self._length, self._size - first))
        done = 0
        while done < len(data) and (more := system.pread_into(self._descriptor, memoryview(data)[done:], first + done)):
            done += more
        return data[:done]
