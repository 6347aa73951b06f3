"""Measures how well an order mixes classes: compares the number of classes in a batch with that of a full shuffle."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.few_places import ids_of
from headrace.shards.order import Order

_BATCHES = 200  # batches of an epoch, evenly spread, that are examined


class Classes(NamedTuple):
    """The average numbers of distinct classes in a batch and in a group of a batch."""

    batch: float
    group: float


@dataclass(frozen=True)
class ShuffleQuality:
    """Average numbers of distinct classes in a batch and in a group, for several ways to shuffle.

    `expected` is the mathematical expectation for random batches; `whole` was measured with a full shuffle. The keys of
    `windows` are lengths of windows in shards, and the keys of `partitions` are numbers of partitions.
    """

    batch: int
    group: int
    expected: Classes
    whole: Classes
    windows: dict[int, Classes]
    partitions: dict[int, Classes]


Labels = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""Returns the labels, int64 (n,), of the samples with the given ids, int64 (n,)."""


def shuffle_quality(
    labels: Labels, counts: NDArray[np.int64], shards: tuple[int, ...], batch: int, group: int, lengths: tuple[int, ...]
) -> ShuffleQuality:
    """Measure how well the classes of a split are mixed in epoch 0 of seed 0.

    `counts` has the number of samples of each class, int64 (classes,). `shards` has the number of samples of each
    shard.

    A split smaller than the batch is treated as one batch, without partitions. Lengths of windows that contain the
    whole split are omitted. The numbers of partitions tried are all powers of two that divide the number of groups in a
    batch. `labels` is called once. Only the ids of the examined batches and of two windows are in memory.
    """
    samples = sum(shards)
    whole = samples >= batch
    batch, groups = min(batch, samples), batch // group
    group = min(group, batch)
    parts = [2**power for power in range(1, groups.bit_length()) if whole and groups % 2**power == 0]
    windows = [length for length in lengths if length < len(shards)]
    ways: list[tuple[int | None, int]] = [(None, 1), *((one, 1) for one in windows), *((None, one) for one in parts)]
    ids = [_batches(Order.of(shards, 0, *way, batch), samples, batch) for way in ways]
    of_all = labels(np.concatenate([one for several in ids for one in several])).reshape(len(ways), -1, batch)
    seen = {way: _distinct(own, group) for way, own in zip(ways, of_all, strict=True)}
    return ShuffleQuality(
        batch,
        group,
        Classes(*(expected_classes(counts, size) for size in (batch, group))),
        seen[None, 1],
        {length: seen[length, 1] for length in windows},
        {count: seen[None, count] for count in parts},
    )


class Shares(NamedTuple):
    """The smallest and the largest share (0 to 1) of certain samples in a batch; `shares` says which samples."""

    smallest: float
    largest: float

    def __str__(self) -> str:
        return f"{self.smallest:.1%} to {self.largest:.1%}"


def shares(
    first: int, shards: tuple[int, ...], batch: int, lengths: tuple[int, ...]
) -> tuple[Shares, dict[int, Shares]]:
    """The shares of the samples from id `first` on in batches of epoch 0: with a full shuffle, and by window length."""
    samples = sum(shards)
    batch = min(batch, samples)

    def seen(window: int | None) -> Shares:
        order = Order.of(shards, 0, window, 1, batch)
        found = [float((ids >= first).mean()) for ids in _batches(order, samples, batch)]
        return Shares(min(found), max(found))

    return seen(None), {length: seen(length) for length in lengths if length < len(shards)}


def expected_classes(counts: NDArray[np.int64], batch: int) -> float:
    """Mean number of distinct classes in `batch` samples drawn without replacement from classes of these sizes.

    A class with k of n samples is absent from the batch with the hypergeometric probability
    C(n - k, batch) / C(n, batch).
    """
    samples = int(counts.sum())
    return sum(1 - _missed(samples, size, batch) for size in counts.tolist())


def _missed(samples: int, size: int, batch: int) -> float:
    others = samples - size
    if others < batch:
        return 0.0
    return exp(lgamma(others + 1) - lgamma(others - batch + 1) - lgamma(samples + 1) + lgamma(samples - batch + 1))


def seen_classes(labels: NDArray[np.int64], order: Order, batch: int, group: int) -> Classes:
    """Mean number of distinct classes in up to `_BATCHES` complete batches of epoch 0, and in their complete groups."""
    ids = np.concatenate(_batches(order, len(labels), batch))
    return _distinct(labels[ids].reshape(-1, batch), group)


def _distinct(labels: NDArray[np.int64], group: int) -> Classes:
    """Mean number of distinct classes in batches with these labels, (batches, batch), and in their complete groups."""
    whole = labels.shape[1] // group * group
    groups = labels[:, :whole].reshape(-1, group)
    return Classes(*(float(np.mean([len(np.unique(one)) for one in several])) for several in (labels, groups)))


def _batches(order: Order, samples: int, batch: int) -> list[NDArray[np.int64]]:
    """The ids of at most `_BATCHES` complete batches of epoch 0, evenly spread, (batch,) each."""
    batches = samples // batch
    chosen = np.unique(np.linspace(0, batches - 1, min(batches, _BATCHES)).astype(np.int64)).tolist()
    return ids_of(order, [(one * batch, (one + 1) * batch) for one in chosen])
