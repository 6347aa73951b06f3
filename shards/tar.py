"""Writes samples to plain ustar tars. `shards/members.py` walks over the members of any tar.

The writer makes headers from a template (mtime 0, uid and gid 0, mode 0644), so the same input gives the same bytes.
Writing takes a fraction of the time of the standard library's tarfile (docs/decisions/0001-own-tar-writer.md has the
figure).
"""

import hashlib
from functools import lru_cache
from typing import BinaryIO

from headrace.shards.errors import DataError

BLOCK = 512
RECORD = 20 * BLOCK  # a tar is padded to whole records, as tar(1) expects
JPEG_EXTENSION = "jpg"
LABEL_EXTENSION = "cls"
_MAX_NAME = 100  # ustar's name field
_MAX_SIZE = 8**11 - 1  # eleven octal digits
_BUFFER = 1 << 20

_BEFORE_SIZE = b"0000644\0" + b"0000000\0" + b"0000000\0"  # mode, uid, gid
_BEFORE_SUM = b"00000000000\0"  # mtime
_AFTER_SUM = (b"0" + b"\0" * 100 + b"ustar\x0000").ljust(BLOCK - 156, b"\0")  # type, link, magic, version, the rest
# The checksum field counts as spaces.
_FIXED_SUM = sum(_BEFORE_SIZE) + sum(_BEFORE_SUM) + sum(_AFTER_SUM) + 8 * ord(" ")


def header(name: bytes, size: int) -> bytes:
    """The header of a member: the 512 bytes before its content."""
    digits = b"%011o\0" % size
    total = _FIXED_SUM + sum(name) + sum(digits)
    return b"".join((name.ljust(_MAX_NAME, b"\0"), _BEFORE_SIZE, digits, _BEFORE_SUM, b"%06o\0 " % total, _AFTER_SUM))


def padding(size: int) -> bytes:
    """The zeros that fill the last block of a member with `size` bytes of content."""
    return b"\0" * (-size % BLOCK)


@lru_cache(maxsize=4096)
def _label_content(label: int) -> tuple[int, bytes]:
    """Size and padded content of a label member: the integer in ASCII, as the webdataset library expects it."""
    text = b"%d" % label
    return len(text), text.ljust(BLOCK, b"\0")


class TarWriter:
    """Writes samples one after another, and tracks the position and the SHA-256 of the file."""

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
                f"{key[:80]}: a ustar tar allows names of {_MAX_NAME} bytes and contents of {_MAX_SIZE:,} bytes at most"
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
