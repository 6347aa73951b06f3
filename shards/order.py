"""The order of samples, and their division among ranks: pure functions of (set size, seed, step).

Training is one endless sequence of positions: the permutation of epoch 0, then that of epoch 1, and so on. Step s takes
positions [s*B, (s+1)*B) of this sequence, where B is the size of the global batch. So a batch may straddle two epochs,
and no sample is dropped or repeated. The global batch consists of consecutive *groups*; a group contains the samples of
one forward pass. Each rank takes whole, consecutive groups.

The permutation of an epoch covers the whole set or, for storage that is slow at random reads, is drawn in *windows*.
With windows, the shards are in random order, and so are the samples within each window of consecutive shards. With
partitions, each partition has fixed places in every batch, its own endless sequence, and its own windows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, hash64
from headrace.shards.line import Line, Pieces
from headrace.shards.partitions import Partitions, Stretch

T = TypeVar("T")


class Positions(NamedTuple):
    """The epochs and the ids of n consecutive samples of training, which may be in several epochs, int64 (n,)."""

    epochs: NDArray[np.int64]
    ids: NDArray[np.int64]


class Windows(NamedTuple):
    """An order in windows of `length` shards; `shards` has the number of samples of each shard, in order."""

    length: int
    shards: tuple[int, ...]


class _Epoch:
    """The order of a partition's part of an epoch, made window by window; at most two windows of ids are in memory."""

    def __init__(self, seed: int, epoch: int, pieces: Pieces, length: int) -> None:
        self._seed, self._epoch, self._pieces, self._length = seed, epoch, pieces, length
        self._ends = np.cumsum(np.add.reduceat(pieces.sizes, np.arange(0, len(pieces.sizes), length)))
        self._held: dict[int, NDArray[np.int64]] = {}

    def ids(self, first: int, last: int) -> NDArray[np.int64]:
        """The ids at places `first` to `last` (excluded) of this order; `last` is greater than `first`."""
        found = []
        begins, ends = np.searchsorted(self._ends, (first, last - 1), side="right").tolist()
        for number in range(begins, ends + 1):
            ids = _kept(self._held, number, self._window)
            start = int(self._ends[number]) - len(ids)
            found.append(ids[max(first - start, 0) : last - start])
        return np.concatenate(found)

    def _window(self, number: int) -> NDArray[np.int64]:
        mine = slice(number * self._length, (number + 1) * self._length)
        spans = zip(self._pieces.starts[mine].tolist(), self._pieces.sizes[mine].tolist(), strict=True)
        ids = np.concatenate([np.arange(start, start + size) for start, size in spans])
        return ids[np.argsort(hash64(self._seed, Stream.ORDER, self._epoch, ids), kind="stable")]


@dataclass(frozen=True)
class Order:
    """The endless training sequence of `samples` ids for one seed.

    Ids are shuffled as a whole, or in windows, in partitions, or in both. With several partitions, a position is step *
    batch + place in the batch.
    """

    samples: int
    seed: int
    windows: Windows | None = None
    partitions: Partitions | None = None
    _lines: dict[int, Line] = field(default_factory=dict, compare=False, repr=False)
    _epochs: dict[int, dict[int, _Epoch]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.windows is not None and (self.windows.length < 1 or sum(self.windows.shards) != self.samples):
            raise ValueError(
                f"windows of {self.windows.length} shards with {sum(self.windows.shards)} samples in all: expected at "
                f"least 1 shard per window, and {self.samples} samples in all"
            )
        if self.partitions is not None and self.partitions.samples != self.samples:
            raise ValueError(
                f"the shards of the partitions have {self.partitions.samples} samples, expected {self.samples}"
            )

    @classmethod
    def of(cls, shards: tuple[int, ...], seed: int, window: int | None, partitions: int, batch: int) -> "Order":
        """The order of a split.

        `shards` has the number of samples of each shard; the other arguments are values of a recipe.
        """
        windows = None if window is None else Windows(window, shards)
        return cls(sum(shards), seed, windows, Partitions(partitions, batch, shards) if partitions > 1 else None)

    @property
    def open_shards(self) -> int | None:
        """The largest number of shards read at a time: those of two windows of each partition; None without windows."""
        return None if self.windows is None else 2 * self.windows.length * self._parts.count

    def permutation(self, epoch: int) -> NDArray[np.int64]:
        """All ids of this epoch, partition by partition; each window has its ids in the order of their hashes."""
        spans = [(one, *self._parts.part(epoch, one)) for one in range(self._parts.count)]
        return np.concatenate([self._of(one, epoch).ids(0, last - first) for one, first, last in spans if first < last])

    def positions(self, first: int, last: int) -> Positions:
        """Epochs and ids at positions `first` to `last` (excluded).

        Takes O(window) memory, and O(n log n) time per epoch.
        """
        pieces = [Positions(np.empty(0, np.int64), np.empty(0, np.int64))]
        if first < last:
            pieces += [piece for stretch in self.stretches(first, last) for piece in self._read(*stretch)]
        return Positions(*(np.concatenate(column) for column in zip(*pieces, strict=True)))

    def stretches(self, first: int, last: int) -> Iterator[Stretch]:
        """Yield the stretches of partitions that make up positions `first` to `last` (excluded), in order."""
        return self._parts.stretches(first, last)

    def pieces(self, epoch: int, partition: int) -> Pieces:
        """The ids of a partition's part of an epoch, as one range of ids for each shard, in the drawn order."""
        line = _kept(self._lines, epoch, lambda epoch: Line(self.seed, epoch, self._parts.shards))
        return line.part(*self._parts.part(epoch, partition))

    def _read(self, partition: int, first: int, last: int) -> Iterator[Positions]:
        """Yield epochs and ids at places `first` to `last` (excluded) of a partition's own sequence, epoch by epoch."""
        while first < last:
            epoch = self._parts.epoch_at(first, partition)
            begin, end = (self._parts.given(one, partition) for one in (epoch, epoch + 1))
            ids = self._of(partition, epoch).ids(first - begin, min(last, end) - begin)
            yield Positions(np.full(len(ids), epoch), ids)
            first = end

    @cached_property
    def _parts(self) -> Partitions:
        whole = self.windows.shards if self.windows else (self.samples,)
        return self.partitions or Partitions(1, 1, whole)

    def _of(self, partition: int, epoch: int) -> _Epoch:
        return _kept(self._epochs.setdefault(partition, {}), epoch, lambda epoch: self._part(partition, epoch))

    def _part(self, partition: int, epoch: int) -> _Epoch:
        pieces = self.pieces(epoch, partition)
        return _Epoch(self.seed, epoch, pieces, self.windows.length if self.windows else len(pieces.shards))


def _kept(held: dict[int, T], number: int, make: Callable[[int], T]) -> T:
    """The object for `number` in `held`; `make` makes it if missing.

    At most two objects are held: a batch rarely needs more.
    """
    if number not in held:
        while len(held) > 1:
            held.pop(min(held))
        held[number] = make(number)
    return held[number]


@dataclass(frozen=True)
class Steps:
    """The division of the training sequence into optimizer steps, which is the same for any number of processes."""

    samples: int
    global_batch: int
    group: int

    @property
    def groups(self) -> int:
        """The number of groups in a global batch."""
        return self.global_batch // self.group

    def ends(self, epoch: int) -> int:
        """The number of steps after which `epoch` (from 0) is complete: ceil((epoch + 1) * samples / global_batch)."""
        return -(-(epoch + 1) * self.samples // self.global_batch)

    def groups_of(self, ranks: int, rank: int) -> range:
        """The consecutive groups of every step that this rank computes; the first ranks take the remainder."""
        return deal(self.groups, ranks, rank)

    def group_span(self, step: int, group: int) -> tuple[int, int]:
        """First and past-the-last position of one group of a step."""
        first = step * self.global_batch + group * self.group
        return first, first + self.group


def deal(items: int, ranks: int, rank: int) -> range:
    """The range of the `items` items that `rank` takes, if each of `ranks` ranks takes consecutive items.

    If `items` is not a multiple of `ranks`, the first ranks take one item more.
    """
    share, odd = divmod(items, ranks)
    first = rank * share + min(rank, odd)
    return range(first, first + share + (rank < odd))


def validation_batches(samples: int, batch: int) -> list[tuple[int, int]]:
    """Batches for validation, (first id, past-the-last id) each. They cover each id once, for any number of ranks."""
    return [(first, min(first + batch, samples)) for first in range(0, samples, batch)]
