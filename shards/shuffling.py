"""How well an order mixes the classes: distinct classes in a batch, against what drawing without order would give."""

from dataclasses import dataclass
from math import exp, lgamma

import numpy as np
from numpy.typing import NDArray

from headrace.shards.order import Order, Windows

_BATCHES = 200  # of an epoch, evenly spread, that are looked at


@dataclass(frozen=True)
class ShuffleQuality:
    """Distinct classes in a batch, on average: expected, over the whole set, and for windows of so many shards."""

    batch: int
    expected: float
    whole: float
    windows: dict[int, float]


def shuffle_quality(
    labels: NDArray[np.int64], shards: tuple[int, ...], batch: int, lengths: tuple[int, ...]
) -> ShuffleQuality:
    """Measure epoch 0 of seed 0 for a split with these labels, int64 (n,), and samples in each shard.

    A set smaller than the batch is one batch. Windows that hold the whole set are left out: they are the whole set.
    """
    batch = min(batch, len(labels))
    whole = Order(len(labels), 0)
    windows = {length: Order(len(labels), 0, Windows(length, shards)) for length in lengths if length < len(shards)}
    return ShuffleQuality(
        batch,
        expected_classes(np.bincount(labels), batch),
        seen_classes(labels, whole, batch),
        {length: seen_classes(labels, order, batch) for length, order in windows.items()},
    )


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


def seen_classes(labels: NDArray[np.int64], order: Order, batch: int) -> float:
    """Mean number of distinct classes in whole batches of epoch 0."""
    batches = len(labels) // batch
    chosen = np.unique(np.linspace(0, batches - 1, min(batches, _BATCHES)).astype(np.int64)).tolist()
    found = [len(np.unique(labels[order.positions(one * batch, (one + 1) * batch).ids])) for one in chosen]
    return float(np.mean(found))
