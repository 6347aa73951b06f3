"""Which sample comes when, and on which rank: pure functions of (set size, seed, step).

Training is one endless sequence of positions: the permutation of epoch 0, then that of epoch 1, and so on.
Step s takes positions [s*B, (s+1)*B) of it, B the global batch, so a batch may straddle two epochs and nothing
is ever dropped or repeated. The global batch consists of consecutive *groups*, the samples of one forward pass;
ranks take whole, consecutive groups.

The permutation of an epoch is over the whole set, or drawn in *windows* for storage that is slow at random reads: the
shards in a random order, and the samples in a random order within each window of so many consecutive ones of these.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, hash64


class Positions(NamedTuple):
    """A stretch of the endless sequence: `epochs` and `ids`, both int64 of shape (n,)."""

    epochs: NDArray[np.int64]
    ids: NDArray[np.int64]


class Windows(NamedTuple):
    """An order in windows of `length` shards; `shards` has the samples of each shard, in the order of their ids."""

    length: int
    shards: tuple[int, ...]

    @property
    def open_shards(self) -> int:
        """Shards that are read from at a time: those of two windows, as a batch may straddle them."""
        return 2 * self.length


class _Epoch:
    """The order of one epoch, made a window at a time: the ids of two windows at most are held."""

    def __init__(self, seed: int, epoch: int, windows: Windows) -> None:
        self._seed, self._epoch = seed, epoch
        self._sizes = np.array(windows.shards, np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        keys = hash64(seed, Stream.SHARD_ORDER, epoch, np.arange(len(self._sizes)))
        drawn = np.argsort(keys, kind="stable")
        self._windows = [drawn[first : first + windows.length] for first in range(0, len(drawn), windows.length)]
        self._ends = np.cumsum([self._sizes[shards].sum() for shards in self._windows])
        self._held: dict[int, NDArray[np.int64]] = {}

    def ids(self, first: int, last: int) -> NDArray[np.int64]:
        """The ids at places first (included) to last (excluded), at least one."""
        pieces = []
        begins, ends = np.searchsorted(self._ends, (first, last - 1), side="right").tolist()
        for number in range(begins, ends + 1):
            ids = self._window(number)
            start = int(self._ends[number]) - len(ids)
            pieces.append(ids[max(first - start, 0) : last - start])
        return np.concatenate(pieces)

    def _window(self, number: int) -> NDArray[np.int64]:
        if number not in self._held:
            while len(self._held) > 1:  # a batch straddles two windows at most when it is shorter than each
                self._held.pop(min(self._held))
            shards = self._windows[number]
            spans = zip(self._starts[shards].tolist(), self._sizes[shards].tolist(), strict=True)
            ids = np.concatenate([np.arange(start, start + size) for start, size in spans])
            self._held[number] = ids[np.argsort(hash64(self._seed, Stream.ORDER, self._epoch, ids), kind="stable")]
        return self._held[number]


@dataclass(frozen=True)
class Order:
    """The endless training sequence over `samples` ids under one seed, over the whole set or in windows."""

    samples: int
    seed: int
    windows: Windows | None = None
    _cache: dict[int, _Epoch] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.windows is not None and (self.windows.length < 1 or sum(self.windows.shards) != self.samples):
            raise ValueError(
                f"windows of {self.windows.length} shards with {sum(self.windows.shards)} samples: expected at least 1 "
                f"shard, and the set's {self.samples} samples"
            )

    def permutation(self, epoch: int) -> NDArray[np.int64]:
        """All ids in the order of this epoch: in each window, the stable argsort of a hash of (seed, epoch, id)."""
        return self._of(epoch).ids(0, self.samples)

    def positions(self, first: int, last: int) -> Positions:
        """Epochs and ids at positions first (included) to last (excluded). O(window) memory, O(n log n) an epoch."""
        if first >= last:
            return Positions(np.empty(0, np.int64), np.empty(0, np.int64))
        pieces = []
        for epoch in range(first // self.samples, (last - 1) // self.samples + 1):
            start = epoch * self.samples
            ids = self._of(epoch).ids(max(first - start, 0), min(last - start, self.samples))
            pieces.append(Positions(np.full(len(ids), epoch), ids))
        return Positions(*(np.concatenate(column) for column in zip(*pieces, strict=True)))

    def _of(self, epoch: int) -> _Epoch:
        if epoch not in self._cache:
            while len(self._cache) > 1:  # a batch straddles two epochs at most when it is shorter than the set
                self._cache.pop(min(self._cache))
            self._cache[epoch] = _Epoch(self.seed, epoch, self.windows or Windows(1, (self.samples,)))
        return self._cache[epoch]


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
