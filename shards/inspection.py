"""Describes a shard set from its indexes: counts, sizes, classes, and images that occur more than once.

Each index is read in blocks of rows, and several times, so that memory does not grow with the number of samples.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.bins import EDGES, counts_in
from headrace.shards.columns import Columns, columns_in
from headrace.shards.equal_images import KINDS, Kind, Pair, Place
from headrace.shards.index import Index, texts_at
from headrace.shards.manifest import SplitInfo
from headrace.shards.percentiles import Percentiles
from headrace.shards.repeats import Repeats, count_repeats
from headrace.shards.shardset import ShardSet

LISTED = 20
"""For each kind of pair, at most this many pairs of samples with equal images are listed."""


class Sizes(NamedTuple):
    """The distribution of one quantity, such as the width, over the images of a split."""

    percentiles: tuple[float, ...]  # at PERCENTILES; each is a value that occurs, 0 in an empty split
    counts: NDArray[np.int64]  # samples in each bin of EDGES


class Balance(NamedTuple):
    """The labels of the smallest, the median and the largest class; classes of equal size are ordered by label.

    For an even number of classes, the median is the smaller of the two middle classes.
    """

    smallest: int
    median: int
    largest: int
    empty: int  # the number of classes without a sample


@dataclass(frozen=True)
class SplitFacts:
    """The figures of one split. The keys of `sizes` are the quantities in EDGES, such as "width"."""

    name: str
    samples: int
    per_class: NDArray[np.int64]
    balance: Balance
    sizes: dict[str, Sizes]
    repeated: int  # samples whose image occurs earlier in the split
    conflicting: int  # different images of the split that occur under more than one label


class Sample(NamedTuple):
    """One of two samples with the same image."""

    split: str
    id: int
    key: str
    source: str  # its path inside the source
    label: int


class Twins(NamedTuple):
    """Two samples with the same image: the first sample in the set, and another sample."""

    kind: Kind
    first: Sample
    second: Sample


@dataclass(frozen=True)
class Facts:
    """The figures that `headrace inspect` prints about a set.

    For each two splits, `shared` is the number of samples of the second split whose image is also in the first.
    """

    splits: tuple[SplitFacts, ...]
    shared: dict[tuple[str, str], int]
    images: int  # that occur more than once
    disputed: int  # of these, those with more than one label
    pairs: dict[Kind, int]
    twins: tuple[Twins, ...]  # the first LISTED of each kind


def inspect(shards: ShardSet) -> Facts:
    """The figures of a set, computed from the indexes of its splits; no image is read.

    Raises DataError for a damaged index.
    """
    infos = shards.manifest.splits
    sizes = [_read(shards, info) for info in infos]
    repeats = count_repeats(shards.root, infos, LISTED)
    return Facts(
        tuple(_facts(info, *found, repeats) for info, found in zip(infos, sizes, strict=True)),
        repeats.shared,
        repeats.images,
        repeats.disputed,
        repeats.pairs,
        tuple(_twins(shards, [pair for kind in KINDS for pair in repeats.first[kind]])),
    )


def labels_at(shards: ShardSet, split: str, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels of the samples with these ids, (n,). Raises DataError for a damaged index.

    All labels of the split are read, but only the requested labels are kept in memory.
    """
    (info,) = (one for one in shards.manifest.splits if one.name == split)
    wanted, places = np.unique(ids, return_inverse=True)
    found, first = np.empty(len(wanted), np.int64), 0
    with closing(Index(shards.root, info.index)) as index:
        for batch in index.batches(("label",)):
            labels = batch["label"].to_numpy()
            begin, end = np.searchsorted(wanted, (first, first + len(labels))).tolist()
            found[begin:end] = labels[wanted[begin:end] - first]
            first += len(labels)
    return found[places.reshape(-1)]


def _facts(info: SplitInfo, per_class: NDArray[np.int64], sizes: dict[str, Sizes], repeats: Repeats) -> SplitFacts:
    order = np.argsort(per_class, kind="stable").tolist()
    return SplitFacts(
        name=info.name,
        samples=info.samples,
        per_class=per_class,
        balance=Balance(
            order[0], order[(len(order) - 1) // 2], int(per_class.argmax()), int(np.count_nonzero(per_class == 0))
        ),
        sizes=sizes,
        repeated=repeats.repeated[info.name],
        conflicting=repeats.conflicting[info.name],
    )


def _read(shards: ShardSet, info: SplitInfo) -> tuple[NDArray[np.int64], dict[str, Sizes]]:
    """The number of samples of each class, (classes,), and the distribution of each quantity in EDGES."""
    per_class = np.zeros(len(shards.class_ids), np.int64)
    counts = {name: np.zeros(len(edges), np.int64) for name, edges in EDGES.items()}
    wanted = {name: Percentiles(info.samples, 64 if name == "aspect" else 32) for name in EDGES}
    with closing(Index(shards.root, info.index)) as index:
        for number in range(max(one.readings for one in wanted.values())):
            for _, columns in columns_in(index, shards.root, info, shards.manifest):
                values = _values(columns)
                if number == 0:
                    per_class += np.bincount(columns.labels, minlength=len(per_class))
                    for name, edges in EDGES.items():
                        counts[name] += counts_in(edges, values[name])
                for name, one in wanted.items():
                    one.add(_keys(values[name]))
            for one in wanted.values():
                one.end_reading()
    return per_class, {name: Sizes(_percentiles(name, wanted[name]), counts[name]) for name in EDGES}


def _values(columns: Columns) -> dict[str, NDArray[np.generic]]:
    """The values of each quantity in EDGES, (n,) each, for the samples of these columns."""
    aspects = columns.widths / columns.heights
    return {"width": columns.widths, "height": columns.heights, "aspect": aspects, "bytes": columns.sizes}


def _keys(values: NDArray[np.generic]) -> NDArray[np.uint64]:
    """Unsigned integers in the same order as these positive numbers; a float becomes the integer with the same bits."""
    return values.view(np.uint64) if values.dtype == np.float64 else values.astype(np.uint64)


def _percentiles(name: str, found: Percentiles) -> tuple[float, ...]:
    if not len(found.found):
        return (0,) * len(found.points)
    return tuple((found.found.view(np.float64) if name == "aspect" else found.found.astype(np.int64)).tolist())


def _twins(shards: ShardSet, pairs: list[Pair]) -> list[Twins]:
    """The pairs with the keys and paths of their samples."""
    texts: dict[tuple[int, int], tuple[str, str]] = {}
    for number, info in enumerate(shards.manifest.splits):
        ids = sorted({one.id for pair in pairs for one in pair if one.split == number})
        found = texts_at(shards.root, info.index, ids)
        texts |= {(number, one): text for one, text in zip(ids, found, strict=True)}

    def sample(place: Place) -> Sample:
        return Sample(shards.split_names[place.split], place.id, *texts[place.split, place.id], place.label)

    return [Twins(pair.kind, sample(pair.first), sample(pair.second)) for pair in pairs]
