"""Groups and counts samples with equal images: in one split, in two splits, and under different labels.

The first sample of an image is the sample with the smallest id in the first split that contains the image. Each other
sample of the image forms a pair with the first sample.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["across", "labels", "within"]
"""The kind of a pair: "across" for samples in two splits; in one split, "labels" for two labels, "within" for one."""
KINDS: tuple[Kind, ...] = get_args(Kind)


class Place(NamedTuple):
    """The split, the id and the label of a sample."""

    split: int  # its index among the splits
    id: int
    label: int


class Pair(NamedTuple):
    """The first sample of an image, and another sample with this image."""

    first: Place
    second: Place

    @property
    def kind(self) -> Kind:
        """The kind of the pair, from the splits and labels of its two samples."""
        if self.first.split != self.second.split:
            return "across"
        return "within" if self.first.label == self.second.label else "labels"


class Groups(NamedTuple):
    """k groups, one row each; a group has all samples with the same image, split and label.

    `words` has the SHA-256 of each image as four 64-bit words, (k, 4); the other columns are (k,).
    """

    words: NDArray[np.uint64]
    splits: NDArray[np.int32]
    labels: NDArray[np.int32]
    ids: NDArray[np.int64]  # the smallest id
    counts: NDArray[np.int64]  # samples

    @classmethod
    def of(cls, parts: Sequence["Groups"]) -> "Groups":
        """The rows of several parts, sorted by image, split and label; rows that agree in all of these are merged."""
        joined: list[NDArray[Any]] = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        rows = cls(*joined)
        rows = rows.at(np.lexsort((rows.ids, rows.labels, rows.splits, *rows.words.T[::-1])))
        first = np.flatnonzero(_begins(rows.words) | _begins(rows.splits) | _begins(rows.labels))
        found = rows.at(first)
        return found._replace(counts=np.add.reduceat(rows.counts, first)) if len(first) else found

    def at(self, chosen: NDArray[Any]) -> "Groups":
        """The rows that `chosen` selects: an array of indexes, or a mask."""
        columns: tuple[NDArray[Any], ...] = self
        return Groups(*(column[chosen] for column in columns))


class Leads(NamedTuple):
    """The first samples of k images: split and id, (k,), and the image's SHA-256 as 64-bit words, (k, 4)."""

    splits: NDArray[np.int32]
    ids: NDArray[np.int64]
    words: NDArray[np.uint64]

    def and_more(self, other: "Leads", most: int) -> "Leads":
        """The first `most` samples, by split and id, of `self` and `other` together."""
        splits, ids = np.concatenate([self.splits, other.splits]), np.concatenate([self.ids, other.ids])
        order = np.lexsort((ids, splits))[:most]
        return Leads(splits[order], ids[order], np.concatenate([self.words, other.words])[order])


class Tally:
    """Counts equal images. All groups of an image must be passed in the same call of `add`."""

    def __init__(self, splits: int, most: int) -> None:
        self.repeated, self.conflicting = np.zeros(splits, np.int64), np.zeros(splits, np.int64)
        self.shared = dict.fromkeys(combinations(range(splits), 2), 0)
        self.images = self.disputed = 0
        self.pairs: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        none = Leads(np.empty(0, np.int32), np.empty(0, np.int64), np.empty((0, 4), np.uint64))
        self.leads = dict.fromkeys(KINDS, none)
        self._most = most

    def add(self, groups: Groups) -> None:
        """Count these groups, which must be sorted as `Groups.of` sorts them.

        Images with a single sample are not counted.
        """
        numbers = np.cumsum(_begins(groups.words)) - 1
        several = np.bincount(numbers, groups.counts)[numbers] > 1 if len(numbers) else np.zeros(0, bool)
        groups = groups.at(several)
        if not len(groups.ids):
            return
        begins = _begins(groups.words)
        images = np.cumsum(begins) - 1
        starts = np.flatnonzero(begins)
        self.images += len(starts)
        labels = (one.reduceat(groups.labels, starts) for one in (np.minimum, np.maximum))
        self.disputed += int(np.not_equal(*labels).sum())
        self._count_splits(groups, images)
        self._count_pairs(groups, images, starts)

    def _count_splits(self, groups: Groups, images: NDArray[np.int64]) -> None:
        own = [groups.splits == number for number in range(len(self.repeated))]
        for number, mask in enumerate(own):
            _, labels = np.unique(images[mask], return_counts=True)
            self.repeated[number] += groups.counts[mask].sum() - len(labels)
            self.conflicting[number] += np.count_nonzero(labels > 1)
        for one, other in self.shared:
            both = np.isin(images[own[other]], images[own[one]])
            self.shared[one, other] += int(groups.counts[own[other]][both].sum())

    def _count_pairs(self, groups: Groups, images: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
        first = np.lexsort((groups.ids, groups.splits, images))[starts]
        lead_split, lead_label = groups.splits[first][images], groups.labels[first][images]
        others = groups.counts.copy()
        others[first] -= 1
        across = groups.splits != lead_split
        labels = ~across & (groups.labels != lead_label)
        for kind, mask in zip(KINDS, (across, labels, ~across & ~labels), strict=True):
            self.pairs[kind] += int(others[mask].sum())
            lead = first[np.unique(images[mask & (others > 0)])]
            found = Leads(groups.splits[lead], groups.ids[lead], groups.words[lead])
            self.leads[kind] = self.leads[kind].and_more(found, self._most)


def first_pairs(leads: dict[Kind, Leads], rows: Iterable[tuple[bytes, Place]], most: int) -> dict[Kind, list[Pair]]:
    """The first `most` pairs of each kind.

    `rows` contains every sample of the images in `leads`, with the image's SHA-256, in the order of splits and ids.
    """
    firsts: dict[bytes, Place] = {}
    found: dict[tuple[bytes, Kind], list[Pair]] = {}
    for image, place in rows:
        pair = Pair(firsts.setdefault(image, place), place)
        own = found.setdefault((image, pair.kind), [])
        if place != pair.first and len(own) < most:
            own.append(pair)
    return {
        kind: [pair for words in own.words for pair in found[words.tobytes(), kind]][:most]
        for kind, own in leads.items()
    }


def _begins(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row of sorted values differs from the row before it, (n,); True for the first row."""
    begins = np.ones(len(values), bool)
    others = values[1:] != values[:-1]
    begins[1:] = others.any(axis=1) if others.ndim > 1 else others
    return begins
