"""The decoded cache: all pixels of a split in one file, which the ranks of a node share.

The file is a header of 4,096 bytes, then the images in order of their ids, each uint8 (height, width, 3), RGB, upright,
without gaps, and then the checksums of their strips of 16 rows, the last of an image being what is left: widths and
heights of the index give every offset. Its key is a hash of all that its pixels depend on, stands in its name and its
header, and so a file of another set or decoder is never read.
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
_SHARE_OF_MEMORY = 0.8  # the rest is for the training itself


@dataclass(frozen=True, eq=False)
class CacheFile:
    """Where the decoded split lies or will lie, and what is in it; whether it is there is another question."""

    path: Path
    split: str
    key: str
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]

    @classmethod
    def of(cls, shards: ShardSet, name: str, folder: Path | None) -> "CacheFile":
        """The cache of one split, in `folder` or beside the shard set."""
        split = shards.split(name)
        key = _key(shards, split)
        split.close()
        folder = folder or shards.root.absolute().with_name(f"{shards.root.absolute().name}.decoded")
        return cls(folder / f"{name}-{key[:16]}.rgb", name, key, split.widths, split.heights)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Byte of the first pixel of each image, and the end of the last: int64 (n + 1,)."""
        return HEADER + _sums_before(self.widths.astype(np.int64) * self.heights * 3)

    @property
    def strips(self) -> NDArray[np.int64]:
        """Number of the first strip of each image, and how many there are: int64 (n + 1,)."""
        return _sums_before(-(-self.heights.astype(np.int64) // STRIP_ROWS))

    @property
    def size(self) -> int:
        """Size of the file."""
        return int(self.starts[-1] + _SUM * self.strips[-1])

    @property
    def header(self) -> bytes:
        """The file's first bytes."""
        return (_MAGIC + self.key.encode() + b"\n").ljust(HEADER, b"\0")

    @property
    def ready(self) -> bool:
        """Whether the file is there, of the right size, and of this key. One that is not is made again."""
        try:
            with self.path.open("rb") as stream:
                return os.fstat(stream.fileno()).st_size == self.size and stream.read(HEADER) == self.header
        except OSError:
            return False

    @property
    def unfinished(self) -> list[Path]:
        """What a fill has not finished, or left behind when it was killed."""
        return list(self.path.parent.glob(f"{self.path.name}.*{store.PARTIAL}"))


def _sums_before(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of all that come before each of n numbers, and of all: (n + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers)])


def _key(shards: ShardSet, split: Split) -> str:
    """SHA-256 over the shard set's digest, the split's rows, and the versions of what decodes."""
    decoders = sorted(
        f"{found.name} {found.version}" for found in metadata.distributions() if found.name.startswith(_DECODERS)
    )
    content = [_MAGIC.decode(), shards.digest, split.name, split.fingerprint, decoders]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def plan_caches(shards: ShardSet, names: Sequence[str], folder: Path | None) -> tuple[tuple[CacheFile, ...], str]:
    """The caches that a run will use, of the splits `names`, and a remark where one has to do without.

    The first has to fit into the disk and the memory, the others are left out where they do not.
    Raises UsageError with the numbers.
    """
    chosen: list[CacheFile] = []
    for name in names:
        file = CacheFile.of(shards, name, folder)
        lacking = lack_of_room(file, chosen)
        if lacking and not chosen:
            raise UsageError(
                f"runtime.cache = decoded: {lacking}. Give a folder elsewhere by runtime.cache_dir, or decode each "
                "time by runtime.cache=none"
            )
        if lacking:
            return tuple(chosen), f"the split {name} is decoded each time: {lacking}"
        chosen.append(file)
    return tuple(chosen), ""


def lack_of_room(file: CacheFile, others: Sequence[CacheFile] = ()) -> str:
    """What there is too little of for this cache beside the others, in words; nothing where it fits or is there."""
    if file.ready:
        return ""
    folder = file.path.parent
    coming = sum(other.size for other in others if not other.ready)
    # What an unfinished fill holds is this cache's own space: it will be that run's result or be removed.
    free = store.free_bytes(folder) + sum(_taken(file.unfinished)) - coming
    if file.size > free:
        there = _taken(folder.glob("*.rgb"))
        older = f"; {in_words(sum(there))} are taken by {len(there)} other caches there" if there else ""
        return f"the decoded split {file.split} needs {in_words(file.size)}, free {in_words(free)} in {folder}{older}"
    memory, needed = usable_memory(), sum(other.size for other in (file, *others))
    if memory is not None and needed > _SHARE_OF_MEMORY * memory:
        return (
            f"the decoded split {file.split} needs {in_words(needed)} of memory to be faster than decoding, "
            f"and {in_words(int(_SHARE_OF_MEMORY * memory))} may be used ({_SHARE_OF_MEMORY:.0%} of what is available)"
        )
    return ""


def _taken(paths: Iterable[Path]) -> list[int]:
    """Bytes of disk that each of these files takes. Another run may rename or remove one at any moment."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            found.append(path.stat().st_blocks * 512)
    return found
