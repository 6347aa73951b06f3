"""The line of an epoch: all samples of the epoch, shard after shard, with the shards in random order.

Partitions and windows are pieces of the line, which may begin and end inside a shard.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, hash64


class Pieces(NamedTuple):
    """k consecutive pieces of a line, each inside one shard: shards, first ids and numbers of ids, int64 (k,) each."""

    shards: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


class Line:
    """The line of one epoch. Samples of a shard are in the order of their ids.

    Making the line takes O(S log S) time for S shards.
    """

    def __init__(self, seed: int, epoch: int, shards: tuple[int, ...]) -> None:
        sizes = np.array(shards, np.int64)
        starts = np.cumsum(sizes) - sizes
        self._drawn = np.argsort(hash64(seed, Stream.SHARD_ORDER, epoch, np.arange(len(sizes))), kind="stable")
        self._starts, self._sizes = starts[self._drawn], sizes[self._drawn]
        self._ends = np.cumsum(self._sizes)

    def part(self, first: int, last: int) -> Pieces:
        """The samples from place `first` of the line to `last` (excluded), as one piece for each shard.

        Pieces of the first and last shard may be shorter than the shard. An empty shard inside the range is a piece of
        size 0, because shuffle windows count all shards, including empty ones.
        """
        begin = int(np.searchsorted(self._ends, first, side="right")) if first else 0
        end = int(np.searchsorted(self._ends - self._sizes, last, side="left"))
        shards, ends, sizes = (column[begin:end] for column in (self._drawn, self._ends, self._sizes))
        before = np.maximum(first - (ends - sizes), 0)
        after = np.maximum(ends - last, 0)
        return Pieces(shards, self._starts[begin:end] + before, sizes - before - after)
