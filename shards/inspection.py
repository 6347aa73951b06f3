"""Describes a shard set: counts, sizes, and images that occur more than once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.shards.repeats import Repeats, count_repeats
from headrace.shards.shardset import ShardSet, Split

PERCENTILES = (0, 5, 50, 95, 100)


@dataclass(frozen=True)
class SplitFacts:
    """The figures of one split."""

    name: str
    samples: int
    per_class: NDArray[np.int64]
    widths: tuple[int, ...]  # at PERCENTILES
    heights: tuple[int, ...]
    aspects: tuple[float, ...]  # width / height
    bytes: tuple[int, ...]
    repeated: int  # samples whose image occurs earlier in the split
    conflicting: int  # different images of the split that occur under more than one label


@dataclass(frozen=True)
class Facts:
    """The figures of a set. `shared`: for two splits, the samples of the second whose image is also in the first."""

    splits: tuple[SplitFacts, ...]
    shared: dict[tuple[str, str], int]


def inspect(shards: ShardSet) -> Facts:
    """Inspect a set by the index of every split, without reading images."""
    repeats = count_repeats(shards.root, shards.manifest.splits)
    splits = (_facts(shards.split(name), repeats, len(shards.class_ids)) for name in shards.split_names)
    return Facts(tuple(splits), repeats.shared)


def _facts(split: Split, repeats: Repeats, classes: int) -> SplitFacts:
    sizes = split.file_sizes(np.arange(len(split)))
    split.close()
    return SplitFacts(
        name=split.name,
        samples=len(split),
        per_class=np.bincount(split.labels, minlength=classes),
        widths=_percentiles(split.widths),
        heights=_percentiles(split.heights),
        aspects=tuple(_spread(split.widths / split.heights)),
        bytes=_percentiles(sizes),
        repeated=repeats.repeated[split.name],
        conflicting=repeats.conflicting[split.name],
    )


def _spread(values: NDArray[np.float64]) -> list[float]:
    """The values at the percentiles; each is one that occurs."""
    if not len(values):
        return [0.0] * len(PERCENTILES)
    found: list[float] = np.percentile(values, PERCENTILES, method="nearest").tolist()
    return found


def _percentiles(values: NDArray[np.int32]) -> tuple[int, ...]:
    return tuple(int(value) for value in _spread(values.astype(np.float64)))
