"""Computes the position of each sample in the shards from the number of samples, their sizes and a seed.

Samples are permuted over the whole split before the split is cut into shards, so that every shard holds a fair mix of
the classes.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, hash64
from headrace.shards.tar import BLOCK

MAX_SHARDS = 512  # by default, as long as tars have fewer than LARGE bytes
LARGE = 256_000_000  # bytes of a tar; sets that would need larger tars have more than MAX_SHARDS tars


def keys(positions: NDArray[np.int64], seed: int, split: str) -> NDArray[np.uint64]:
    """Return the random keys by which a split's samples are sorted (shuffled) before the split is cut into shards.

    No two keys are equal. `positions` are the indices of the samples in the list of the split's samples, sorted by
    path.
    """
    return hash64(seed, Stream.PREP, zlib.crc32(split.encode()), positions)


def tar_bytes(sizes: NDArray[np.int64]) -> int:
    """Return the number of bytes that samples with files of these sizes take in tars.

    Each sample takes two files in a tar, the image and the label, and each file has a header.
    """
    return int((3 * BLOCK + sizes + -sizes % BLOCK).sum())


def shard_count(samples: int, total: int, *, samples_per_shard: int | None, shard_bytes: int) -> int:
    """Return the number of tars, at least 1, for a split of `samples` samples that take `total` bytes in tars."""
    if samples_per_shard is not None:
        return max(1, -(-samples // samples_per_shard))
    most = max(MAX_SHARDS, -(-total // LARGE))
    return max(1, min(-(-total // shard_bytes), most, samples))


def cuts(samples: int, shards: int) -> list[tuple[int, int]]:
    """Return each shard's range of sample indices, (first, last + 1). The ranges differ in length by at most one."""
    return [(samples * shard // shards, samples * (shard + 1) // shards) for shard in range(shards)]


def shard_name(split: str, number: int) -> str:
    """Return the name of a tar, without .tar."""
    return f"{split}-{number:06d}"
