"""A source that lies in a tar: plain ones are read in place, compressed ones through an unpacked copy."""

import bz2
import gzip
import lzma
import os
import zlib
from pathlib import Path
from typing import Any

from prep.files import MAX_FILE_BYTES, SYMBOLIC, UNKNOWN_CRC, Entry, FileTable, LeftOut, changed
from shards import store
from shards.errors import DataError
from shards.tar import Link, Member, members_and_links

_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_CHUNK = 1 << 20


def is_tar(start: bytes) -> bool:
    """Whether a file with these first 512 bytes is a tar, or compressed as tars are."""
    return start[257:262] == b"ustar" or any(start.startswith(magic) for magic in _COMPRESSED)


class TarFiles:
    """The members of a tar. A compressed one is unpacked, as one tar, to `spool`."""

    def __init__(self, root: Path, spool: Path) -> None:
        self.root = root
        self.left_out: LeftOut = []
        self._spool = spool
        with root.open("rb") as stream:
            start = stream.read(8)
        self._open = next((opener for magic, opener in _COMPRESSED.items() if start.startswith(magic)), None)

    def stamp(self) -> str:
        """Size and modification time of the tar."""
        seen = self.root.stat()
        return f"{seen.st_size} bytes, mtime {seen.st_mtime_ns}"

    def table(self) -> FileTable:
        """All regular members, sorted by name; of equal names the last, as tar(1) unpacks them.

        A hard link is the earlier member that it names; GNU tar writes one for the second name of a file.
        """
        if self._open is not None:
            self._unpack()
        found: dict[str, Member] = {}
        left_out: dict[str, str] = {}
        for one in members_and_links(self._plain()):
            name = one.name.removeprefix("./")
            member = one if isinstance(one, Member) else found.get(one.target.removeprefix("./"))
            if isinstance(one, Link) and (one.symbolic or member is None):
                left_out[name] = (
                    SYMBOLIC if one.symbolic else f"a hard link to {one.target!r}, which is no member before it"
                )
                found.pop(name, None)
            elif member is not None:
                found[name] = member
                left_out.pop(name, None)
        self.left_out = sorted(left_out.items())
        return FileTable.of(
            [Entry(name, one.size, UNKNOWN_CRC, one.offset, one.size, 0) for name, one in sorted(found.items())]
        )

    def _plain(self) -> Path:
        return self.root if self._open is None else self._spool

    def _unpack(self) -> None:
        opener: Any = self._open
        with store.replacing(self._spool) as target, opener(self.root) as packed:
            while chunk := self._chunk(packed):
                target.write(chunk)

    def _chunk(self, packed: Any) -> bytes:
        """The next unpacked bytes. OSError is what gzip and bz2 raise for damage, apart from that of a full disk."""
        try:
            return bytes(packed.read(_CHUNK))
        except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise DataError(
                f"{self.root}: does not unpack ({error}). It was probably cut short: get it again"
            ) from error

    def reader(self, prefix: str) -> "TarReader":
        """A reader of members; they are found by place, so `prefix` does not matter."""
        del prefix
        return TarReader(self._plain())

    def close(self) -> None:
        """Remove the unpacked copy."""
        self._spool.unlink(missing_ok=True)


class TarReader:
    """Reads members by one `pread` each."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._descriptor = -1

    def read(self, entry: Entry) -> bytes:
        """The member's bytes."""
        if entry.size > MAX_FILE_BYTES:
            raise changed(self._root, entry.path, f"{entry.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC)
            data = os.pread(self._descriptor, entry.size, entry.offset)
        except OSError as error:
            raise changed(self._root, entry.path, f"cannot be read ({error.strerror})") from error
        if len(data) != entry.size:
            raise changed(self._root, entry.path, f"the tar ends inside it ({len(data):,} of {entry.size:,} bytes)")
        return data

    def __getstate__(self) -> dict[str, object]:
        return {"_root": self._root, "_descriptor": -1}
