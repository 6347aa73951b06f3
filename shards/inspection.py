"""What is in a shard set: counts, sizes, and images that occur more than once."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from headrace.shards import index
from headrace.shards.shardset import ShardSet, Split

PERCENTILES = (0, 5, 50, 95, 100)


@dataclass(frozen=True)
class SplitFacts:
    """Figures of one split."""

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
    """Figures of a set. `shared`: for two splits, the samples of the second whose image is also in the first."""

    splits: tuple[SplitFacts, ...]
    shared: dict[tuple[str, str], int]


def inspect(shards: ShardSet) -> Facts:
    """Read the index of every split; no image is read."""
    hashes: dict[str, list[bytes]] = {}
    splits = []
    for info in shards.manifest.splits:
        hashes[info.name] = index.read_texts(shards.root, info.index, ("sha256",))["sha256"]
        splits.append(_facts(shards.split(info.name), hashes[info.name], len(shards.class_ids)))
    counts = {name: Counter(found) for name, found in hashes.items()}
    shared = {
        (one, other): sum(count for image, count in counts[other].items() if image in counts[one])
        for one, other in combinations(counts, 2)
    }
    return Facts(tuple(splits), shared)


def _facts(split: Split, hashes: list[bytes], classes: int) -> SplitFacts:
    labels: dict[bytes, set[int]] = defaultdict(set)
    for image, label in zip(hashes, split.labels.tolist(), strict=True):
        labels[image].add(label)
    sizes = split.places(np.arange(len(split))).sizes
    split.close()
    return SplitFacts(
        name=split.name,
        samples=len(split),
        per_class=np.bincount(split.labels, minlength=classes),
        widths=_percentiles(split.widths),
        heights=_percentiles(split.heights),
        aspects=tuple(_spread(split.widths / split.heights)),
        bytes=_percentiles(sizes),
        repeated=len(split) - len(labels),
        conflicting=sum(len(found) > 1 for found in labels.values()),
    )


def _spread(values: NDArray[np.float64]) -> list[float]:
    """The values at the percentiles, each one that occurs."""
    if not len(values):
        return [0.0] * len(PERCENTILES)
    found: list[float] = np.percentile(values, PERCENTILES, method="nearest").tolist()
    return found


def _percentiles(values: NDArray[np.int32]) -> tuple[int, ...]:
    return tuple(int(value) for value in _spread(values.astype(np.float64)))
