"""Measures how well an order mixes the classes: distinct classes in a batch, compared with a full shuffle."""

from dataclasses import dataclass
from math import exp, lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.order import Order

_BATCHES = 200  # batches of an epoch, evenly spread, that are examined


class Classes(NamedTuple):
    """Average number of distinct classes in a batch and in one of its groups."""

    batch: float
    group: float


@dataclass(frozen=True)
class ShuffleQuality:
    """Numbers of distinct classes: expected, with a full shuffle, for lengths of windows, for numbers of partitions."""

    batch: int
    group: int
    expected: Classes
    whole: Classes
    windows: dict[int, Classes]
    partitions: dict[int, Classes]


def shuffle_quality(
    labels: NDArray[np.int64], shards: tuple[int, ...], batch: int, group: int, lengths: tuple[int, ...]
) -> ShuffleQuality:
    """Measure epoch 0 of seed 0 for a split with these labels, int64 (n,); `shards` has the samples of each shard.

    A set smaller than the batch is one batch, without partitions. Windows of `lengths` that hold the whole set are
    omitted. Partitions are the powers of two that divide the groups of a batch.
    """
    whole = len(labels) >= batch
    batch, groups = min(batch, len(labels)), batch // group
    group = min(group, batch)
    counts = [2**power for power in range(1, groups.bit_length()) if whole and groups % 2**power == 0]

    def seen(window: int | None, partitions: int = 1) -> Classes:
        return seen_classes(labels, Order.of(shards, 0, window, partitions, batch), batch, group)

    return ShuffleQuality(
        batch,
        group,
        Classes(*(expected_classes(np.bincount(labels), samples) for samples in (batch, group))),
        seen(None),
        {length: seen(length) for length in lengths if length < len(shards)},
        {count: seen(None, count) for count in counts},
    )


class Shares(NamedTuple):
    """The smallest and the largest share of some samples in a batch, 0 to 1."""

    smallest: float
    largest: float

    def __str__(self) -> str:
        return f"{self.smallest:.1%} to {self.largest:.1%}"


def shares(
    chosen: NDArray[np.bool_], shards: tuple[int, ...], batch: int, lengths: tuple[int, ...]
) -> tuple[Shares, dict[int, Shares]]:
    """The shares of the chosen samples, bool (n,), in batches of epoch 0: over the whole set, by length of windows."""

    def seen(window: int | None) -> Shares:
        order = Order.of(shards, 0, window, 1, min(batch, len(chosen)))
        found = [float(chosen[ids].mean()) for ids in _batches(order, len(chosen), min(batch, len(chosen)))]
        return Shares(min(found), max(found))

    return seen(None), {length: seen(length) for length in lengths if length < len(shards)}


def expected_classes(counts: NDArray[np.int64], batch: int) -> float:
    """Mean number of distinct classes in `batch` samples drawn without replacement from classes of these sizes.

    A class of k among n samples is missed with the hypergeometric probability C(n - k, batch) / C(n, batch).
    """
    samples = int(counts.sum())
    return sum(1 - _missed(samples, size, batch) for size in counts.tolist())


def _missed(samples: int, size: int, batch: int) -> float:
    others = samples - size
    if others < batch:
        return 0.0
    return exp(lgamma(others + 1) - lgamma(others - batch + 1) - lgamma(samples + 1) + lgamma(samples - batch + 1))


def seen_classes(labels: NDArray[np.int64], order: Order, batch: int, group: int) -> Classes:
    """Mean number of distinct classes in the whole batches of epoch 0, and in their whole groups."""
    found = [labels[ids] for ids in _batches(order, len(labels), batch)]
    groups = [one[first : first + group] for one in found for first in range(0, batch - group + 1, group)]
    return Classes(*(float(np.mean([len(np.unique(one)) for one in several])) for several in (found, groups)))


def _batches(order: Order, samples: int, batch: int) -> list[NDArray[np.int64]]:
    """The ids in some whole batches of epoch 0, evenly spread."""
    batches = samples // batch
    chosen = np.unique(np.linspace(0, batches - 1, min(batches, _BATCHES)).astype(np.int64)).tolist()
    return [order.positions(one * batch, (one + 1) * batch).ids for one in chosen]
