"""A file with a SHA-256 for each of its parts: whoever reads some bytes of it checks these, and not gigabytes more."""

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

from headrace.shards import regular

PART = 1 << 20
"""Bytes of a part; the last one may have fewer."""


class OtherFileError(Exception):
    """The file is not the one that is described."""


class SummingWriter(io.RawIOBase):
    """Hands bytes on to `stream`, and has the sums of what went through: `bytes`, `sha256` and `parts`, in hex."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._whole, self._part = hashlib.sha256(), hashlib.sha256()
        self._done: list[str] = []
        self.bytes = 0

    def writable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes so far."""
        return self.bytes

    def write(self, data: object) -> int:
        """Write all of it."""
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
        """Of all bytes."""
        return self._whole.hexdigest()

    @property
    def parts(self) -> tuple[str, ...]:
        """Of each part."""
        return (*self._done, *([self._part.hexdigest()] if self.bytes % PART else []))


class CheckedReader(io.RawIOBase):
    """A file of which no byte is handed out before its part has the SHA-256 that it should have.

    Each part is read once for the bytes that are asked for, and the last one is kept. Of a file with one sum alone the
    part is all of it, which is then held in memory. Raises OtherFileError, and OSError as reading does.
    """

    def __init__(self, path: Path, size: int, sha256: str, parts: tuple[str, ...] | None) -> None:
        self._size, self._at = size, 0
        self._length, self._sums = (PART, parts) if parts is not None else (max(size, 1), (sha256,))
        self._kept: tuple[int, memoryview] = (-1, memoryview(b""))
        self._descriptor = -1
        self._descriptor = regular.descriptor(path)
        seen = os.fstat(self._descriptor).st_size
        if seen != size:
            self.close()
            raise OtherFileError(f"{seen:,} bytes, expected {size:,}")

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next bytes, fewer at the end of the file."""
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

    def _part(self, number: int) -> memoryview:
        if self._kept[0] != number:
            data = self._bytes(number * self._length)
            if hashlib.sha256(data).hexdigest() != self._sums[number]:
                raise OtherFileError("other bytes")
            self._kept = number, memoryview(data)
        return self._kept[1]

    def _bytes(self, first: int) -> bytearray:
        """Those of the part that begins there; fewer where the file was cut meanwhile."""
        data = bytearray(min(self._length, self._size - first))
        done = 0
        while done < len(data) and (more := os.preadv(self._descriptor, [memoryview(data)[done:]], first + done)):
            done += more
        return data[:done]
