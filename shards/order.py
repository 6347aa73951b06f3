"""Which sample comes when, and on which rank: pure functions of (set size, seed, step).

Training is one endless sequence of positions: the permutation of epoch 0, then that of epoch 1, and so on.
Step s takes positions [s*B, (s+1)*B) of it, B the global batch, so a batch may straddle two epochs and nothing
is ever dropped or repeated. The global batch consists of consecutive *groups*, the samples of one forward pass;
ranks take whole, consecutive groups.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shards.draws import Stream, hash64


class Positions(NamedTuple):
    """A stretch of the endless sequence: `epochs` and `ids`, both int64 of shape (n,)."""

    epochs: NDArray[np.int64]
    ids: NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """The endless training sequence over `samples` ids under one seed."""

    samples: int
    seed: int
    _cache: dict[int, NDArray[np.int64]] = field(default_factory=dict, compare=False, repr=False)

    def permutation(self, epoch: int) -> NDArray[np.int64]:
        """All ids in the order of this epoch: the stable argsort of a hash of (seed, epoch, id). O(n log n)."""
        if epoch not in self._cache:
            keys = hash64(self.seed, Stream.ORDER, epoch, np.arange(self.samples))
            while len(self._cache) > 1:  # a batch straddles two epochs at most when it is shorter than the set
                self._cache.pop(min(self._cache))
            self._cache[epoch] = np.argsort(keys, kind="stable")
        return self._cache[epoch]

    def positions(self, first: int, last: int) -> Positions:
        """Epochs and ids at positions first (included) to last (excluded)."""
        pieces = []
        for epoch in range(first // self.samples, (last - 1) // self.samples + 1):
            start = epoch * self.samples
            ids = self.permutation(epoch)[max(first - start, 0) : last - start]
            pieces.append(Positions(np.full(len(ids), epoch), ids))
        if not pieces:
            return Positions(np.empty(0, np.int64), np.empty(0, np.int64))
        return Positions(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


@dataclass(frozen=True)
class Steps:
    """How the sequence is cut into optimizer steps, counted in samples: nothing here knows a number of processes."""

    samples: int
    global_batch: int
    group: int

    @property
    def groups(self) -> int:
        """Groups in one global batch."""
        return self.global_batch // self.group

    def ends(self, epoch: int) -> int:
        """Number of steps after which `epoch` (from 0) is complete: ceil((epoch + 1) * samples / global_batch)."""
        return -(-(epoch + 1) * self.samples // self.global_batch)

    def groups_of(self, ranks: int, rank: int) -> range:
        """The consecutive groups of every step that this rank computes; earlier ranks take the odd ones."""
        return deal(self.groups, ranks, rank)

    def group_span(self, step: int, group: int) -> tuple[int, int]:
        """First and past-the-last position of one group of a step."""
        first = step * self.global_batch + group * self.group
        return first, first + self.group


def deal(items: int, ranks: int, rank: int) -> range:
    """The consecutive share of `rank` in `items`, as even as possible; earlier ranks take the odd ones."""
    share, odd = divmod(items, ranks)
    first = rank * share + min(rank, odd)
    return range(first, first + share + (rank < odd))


def validation_batches(samples: int, batch: int) -> list[tuple[int, int]]:
    """Fixed batches (first id, past-the-last id) that cover each id once, whatever the number of ranks."""
    return [(first, min(first + batch, samples)) for first in range(0, samples, batch)]
