"""Shares the index columns of a large split among all processes of a host, which map one file into their memory.

The file is in the user's private cache folder. It begins with a header, which has a CRC-32 for each MiB of the rest.
The columns follow the header. Each column begins at the start of a memory page.
"""

import hashlib
import json
import mmap
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from headrace.shards import index, remains, store, system
from headrace.shards.columns import KINDS, Columns, column_parts, read_columns
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.manifest import Manifest, SplitInfo
from headrace.shards.user_cache import private_folder

FEWEST = 1 << 18
"""A split with at least this many samples is mapped; for a smaller split, each process has a copy of at most 8 MB."""
_FOLDER, _ENDING, _LOCK = "columns", ".columns", ".lock"
_MAGIC = b"headrace columns, version 1.\n\0\0\0"  # 32 bytes
_BLOCK = 1 << 20  # bytes that one checksum covers
_SUM = np.dtype(np.uint32)
_MOST_FILES, _UNUSED_SECONDS = 8, 30 * 86400.0  # limits for files of other splits


class _Layout(NamedTuple):
    """The positions of the header and the columns in the file, which follow from the number of samples."""

    header: int  # bytes
    starts: dict[str, int]  # first byte of each column
    end: int

    @classmethod
    def of(cls, samples: int) -> "_Layout":
        pages = {name: _to_page(samples * kind.itemsize) for name, kind in KINDS.items()}
        blocks = -(-sum(pages.values()) // _BLOCK)
        at = header = _to_page(len(_MAGIC) + 2 * hashlib.sha256().digest_size + blocks * _SUM.itemsize)
        starts = {}
        for name, size in pages.items():
            starts[name] = at
            at += size
        return cls(header, starts, at)

    def columns(self, memory: mmap.mmap, samples: int) -> Columns:
        """The columns as views of a mapped file."""
        views: dict[str, Any] = {
            name: np.frombuffer(memory, kind, samples, self.starts[name]) for name, kind in KINDS.items()
        }
        return Columns(**views)


class Mapped:
    """Opens the columns of splits; those of large splits are mapped.

    If processes cannot share columns in a file, `trouble` says why; else it is empty.
    """

    def __init__(self) -> None:
        self.trouble = ""

    def open(self, root: Path, split: SplitInfo, manifest: Manifest) -> Columns:
        """The columns of a split, read-only if they are mapped.

        The columns are checked against the manifest when their file is made. The checksums of the file are checked each
        time it is mapped; a damaged file is made again. Raises DataError if the index is damaged or inconsistent. If
        the file of columns exists already, only the size of the index is checked.
        """
        if split.samples < FEWEST:
            return read_columns(root, split, manifest)
        index.check_size(root, split.index)
        folder = private_folder(_FOLDER)
        if folder is None:
            place = (
                f"there is no folder headrace/{_FOLDER} in $XDG_CACHE_HOME or ~/.cache that only this user can write"
            )
            return self._copy(place, root, split, manifest)
        key = _key(split, manifest)
        path = folder / f"{key.hex()}{_ENDING}"
        try:
            found = _map(path, key, split.samples)
            if found is None:
                with _only(path.with_suffix(_LOCK)):
                    found = _map(path, key, split.samples) or _make(path, key, root, split, manifest)
        except DataError:
            raise
        except (HeadraceError, OSError) as error:
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            return self._copy(f"{path.parent}: {getattr(reason, 'strerror', None) or reason}", root, split, manifest)
        return found

    def _copy(self, why: str, root: Path, split: SplitInfo, manifest: Manifest) -> Columns:
        self.trouble = f"the columns of large splits cannot be shared, so every process has its own copy: {why}"
        return read_columns(root, split, manifest)


MAPPED = Mapped()


def _to_page(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def _key(split: SplitInfo, manifest: Manifest) -> bytes:
    """A hash of everything that determines the columns: the split's index, and the digest of the set."""
    return hashlib.sha256(json.dumps([manifest.digest, split.name, split.index.sha256]).encode()).digest()


def _map(path: Path, key: bytes, samples: int) -> Columns | None:
    """The columns in the file `path`; None if there is no such file, or if its content was changed. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | system.NOFOLLOW | system.NONBLOCK | system.CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        layout = _Layout.of(samples)
        if not _is_sound(descriptor, key, layout):
            return None
        with suppress(OSError):
            os.utime(descriptor)  # `_clean` removes files that were not used for long
        return layout.columns(mmap.mmap(descriptor, layout.end, access=mmap.ACCESS_READ), samples)
    finally:
        os.close(descriptor)


def _is_sound(descriptor: int, key: bytes, layout: _Layout) -> bool:
    """Whether the file belongs to this user, was made for this key, and matches the checksums in its header.

    The file is read block by block and not mapped, so that the check itself takes little memory.
    """
    seen = os.fstat(descriptor)
    own = stat.S_ISREG(seen.st_mode) and system.is_own(seen)
    if not own or seen.st_size != layout.end:
        return False
    header = system.pread(descriptor, layout.header, 0)
    sums = _sums(descriptor, layout)
    return header == _header(key, sums, layout)


def _header(key: bytes, sums: bytes, layout: _Layout) -> bytes:
    return (_MAGIC + hashlib.sha256(key + sums).digest() + key + sums).ljust(layout.header, b"\0")


def _sums(descriptor: int, layout: _Layout) -> bytes:
    """The CRC-32 of each block after the header."""
    buffer, found = memoryview(bytearray(_BLOCK)), []
    for first in range(layout.header, layout.end, _BLOCK):
        size = system.pread_into(descriptor, buffer[: min(_BLOCK, layout.end - first)], first)
        found.append(crc32(buffer[:size]))
    return np.array(found, _SUM).tobytes()


@contextmanager
def _only(path: Path) -> Iterator[None]:
    """Hold the lock of the lock file `path` during the block; wait first while another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | system.NOFOLLOW | system.CLOEXEC, 0o600)
    try:
        system.lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _make(path: Path, key: bytes, root: Path, split: SplitInfo, manifest: Manifest) -> Columns:
    """Write the file of columns and map it.

    Raises DataError if the index is damaged, HeadraceError if the file cannot be written.
    """
    layout = _Layout.of(split.samples)
    _clean(path)
    with store.replacing(path, layout.end, durable=False) as stream:
        os.fchmod(stream.fileno(), 0o600)
        for first, columns in column_parts(root, split, manifest):
            for name, values in columns._asdict().items():
                stream.seek(layout.starts[name] + first * values.itemsize)
                stream.write(values.data)
        stream.flush()
        header = _header(key, _sums(stream.fileno(), layout), layout)
        stream.seek(0)
        stream.write(header)
    found = _map(path, key, split.samples)
    if found is None:
        raise HeadraceError(f"{path}: its content differs from what was written")
    return found


def _clean(path: Path) -> None:
    """Remove files that were unused for long, the oldest of too many files, and unfinished files of dead processes."""
    used: dict[Path, float] = {}
    for one in path.parent.iterdir():
        with suppress(FileNotFoundError):  # another process is cleaning too
            used[one] = one.lstat().st_mtime
    end = time.time() - _UNUSED_SECONDS
    kept = sorted((one for one in used if one.suffix == _ENDING), key=used.__getitem__, reverse=True)
    old = {*kept[_MOST_FILES - 1 :], *(one for one, when in used.items() if when < end)} - {path}
    for one in old:
        one.unlink(missing_ok=True)
    for name in {one.name.partition(_ENDING)[0] for one in used if one.suffix == store.PARTIAL}:
        remains.remove_remains(path.with_name(name + _ENDING))
