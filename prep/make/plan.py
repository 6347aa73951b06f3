"""Which sample goes where: a pure function of the number of samples, their sizes and the seed.

Samples are permuted over the whole split before it is cut, so that every shard holds a fair mix of the classes.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, hash64
from headrace.shards.tar import BLOCK

MAX_SHARDS = 512  # by default, while tars stay below LARGE
LARGE = 256_000_000  # bytes of a tar: sets of which 512 tars would be larger have more of them


def permutation(samples: int, seed: int, split: str) -> NDArray[np.int64]:
    """The position in the sorted listing of the sample that goes to each place."""
    return np.argsort(keys(np.arange(samples), seed, split), kind="stable")


def keys(positions: NDArray[np.int64], seed: int, split: str) -> NDArray[np.uint64]:
    """By which the samples at these positions of the sorted listing are sorted; no two are equal."""
    return hash64(seed, Stream.PREP, zlib.crc32(split.encode()), positions)


def tar_bytes(sizes: NDArray[np.int64]) -> int:
    """What files of these sizes take in tars: header, content; label header and label."""
    return int((3 * BLOCK + sizes + -sizes % BLOCK).sum())


def shard_count(samples: int, total: int, *, samples_per_shard: int | None, shard_bytes: int) -> int:
    """Into how many tars a split is cut whose files take `total` bytes in tars; at least one."""
    if samples_per_shard is not None:
        return max(1, -(-samples // samples_per_shard))
    most = max(MAX_SHARDS, -(-total // LARGE))
    return max(1, min(-(-total // shard_bytes), most, samples))


def cuts(samples: int, shards: int) -> list[tuple[int, int]]:
    """First and past-the-last place of each shard; sizes differ by one sample at most."""
    return [(samples * shard // shards, samples * (shard + 1) // shards) for shard in range(shards)]


def shard_name(split: str, number: int) -> str:
    """The name of a tar, without its ending."""
    return f"{split}-{number:06d}"
