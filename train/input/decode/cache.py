"""The decoded cache: all pixels of a split in one file, which the ranks of a host share.

The file begins with a header of 4,096 bytes. The images follow in order of their ids, each uint8 (height, width, 3),
RGB, upright and without gaps. The file ends with the checksums of all strips. A strip is a block of 16 rows of an
image; an image's last strip may be shorter. All offsets follow from the widths and heights in the index. The file's key
is a hash of everything that determines the pixels. The key is in the file's name and in the header, so the cache of
another shard set or decoder is never read.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.kernels.arguments import STRIP_ROWS
from headrace.train.machine.capacity import in_words, usable_memory

HEADER = 4096  # bytes
_MAGIC = b"headrace decoded cache 2\n"
_SUM = 8  # bytes of a strip's checksum
_DECODERS = ("nvidia-dali-", "nvidia-nvimgcodec-")
_SHARE_OF_MEMORY = 0.8  # the rest is left for training


@dataclass(frozen=True, eq=False)
class CacheFile:
    """The path and the expected contents of the cache file of a split; the file need not exist."""

    path: Path
    split: str
    key: str
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]

    @classmethod
    def of(cls, shards: ShardSet, name: str, folder: Path | None) -> "CacheFile":
        """Return the cache of the split called `name`, in `folder`, or beside the shard set if `folder` is None."""
        split = shards.split(name)
        key = _key(shards, split)
        split.close()
        folder = folder or shards.beside.with_name(f"{shards.beside.name}.decoded")
        return cls(folder / f"{name}-{key[:16]}.rgb", name, key, split.widths, split.heights)

    @property
    def starts(self) -> NDArray[np.int64]:
        """The offset of each image in the file, and the end of the last image: int64 (n + 1,)."""
        return HEADER + _sums_before(self.widths.astype(np.int64) * self.heights * 3)

    @property
    def strips(self) -> NDArray[np.int64]:
        """The index of each image's first strip, and the number of all strips: int64 (n + 1,)."""
        return _sums_before(-(-self.heights.astype(np.int64) // STRIP_ROWS))

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return int(self.starts[-1] + _SUM * self.strips[-1])

    @property
    def header(self) -> bytes:
        """The bytes of the file's header."""
        return (_MAGIC + self.key.encode() + b"\n").ljust(HEADER, b"\0")

    @property
    def ready(self) -> bool:
        """Whether the file exists and has the expected size and key. Otherwise, a run makes the cache again."""
        try:
            with self.path.open("rb") as stream:
                return os.fstat(stream.fileno()).st_size == self.size and stream.read(HEADER) == self.header
        except OSError:
            return False

    @property
    def unfinished(self) -> list[Path]:
        """The unfinished cache files that processes are writing now, or that killed processes left behind."""
        return list(self.path.parent.glob(f"{self.path.name}.*{store.PARTIAL}"))


def _sums_before(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the running sums of n numbers, beginning with 0 and ending with the sum of all: (n + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers)])


def _key(shards: ShardSet, split: Split) -> str:
    """Return a SHA-256 of the shard set's digest, the split's rows in the index, and the versions of the decoders."""
    decoders = sorted(
        f"{found.name} {found.version}" for found in metadata.distributions() if found.name.startswith(_DECODERS)
    )
    content = [_MAGIC.decode(), shards.digest, split.name, split.fingerprint, decoders]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def plan_caches(shards: ShardSet, names: Sequence[str], folder: Path | None) -> tuple[tuple[CacheFile, ...], str]:
    """Return the caches that a run will use for the splits `names`, and a remark for the user if a split gets no cache.

    The first split's cache must fit on the disk and in memory. The cache of a later split is omitted if it does not
    fit. Raises UsageError, which gives the sizes, if the first cache does not fit.
    """
    chosen: list[CacheFile] = []
    for name in names:
        file = CacheFile.of(shards, name, folder)
        lacking = lack_of_room(file, chosen)
        if lacking and not chosen:
            raise UsageError(
                f"runtime.cache = decoded: {lacking}. Set runtime.cache_dir to a folder on another disk, or "
                "set runtime.cache=none to decode in every epoch"
            )
        if lacking:
            return tuple(chosen), f"the split {name} is decoded in every epoch: {lacking}"
        chosen.append(file)
    return tuple(chosen), ""


def lack_of_room(file: CacheFile, others: Sequence[CacheFile] = ()) -> str:
    """Return "" if this cache fits on disk and in memory; otherwise the reason why not, as a clause of an error.

    The cache fits if its file already exists, or if there is room for it in addition to the caches `others`.
    """
    if file.ready:
        return ""
    folder = file.path.parent
    coming = sum(other.size for other in others if not other.ready)
    # The space of an unfinished fill belongs to this cache: that file will become the cache or be removed.
    free = store.free_bytes(folder) + sum(_taken(file.unfinished)) - coming
    if file.size > free:
        there = _taken(folder.glob("*.rgb"))
        older = f"; {len(there)} other caches there take {in_words(sum(there))}" if there else ""
        free_there = f"only {in_words(free)} are free in {folder}"
        return f"the decoded split {file.split} needs {in_words(file.size)}, but {free_there}{older}"
    memory, needed = usable_memory(), sum(other.size for other in (file, *others))
    if memory is not None and needed > _SHARE_OF_MEMORY * memory:
        return (
            f"the decoded split {file.split} needs {in_words(needed)} of memory to be faster than decoding, "
            f"but may use only {in_words(int(_SHARE_OF_MEMORY * memory))} ({_SHARE_OF_MEMORY:.0%} of what is available)"
        )
    return ""


def _taken(paths: Iterable[Path]) -> list[int]:
    """Return the bytes that each file takes on the disk; files that another run has just removed are left out."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            found.append(path.stat().st_blocks * 512)
    return found
