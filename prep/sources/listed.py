"""Makes a source from a listing of any length: its rows are in a table on the disk, and are read in chunks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources.files import BY_CLASSES, BY_PER_CLASS, Files, FileTable, Reader, Unused
from headrace.prep.sources.splits import keys_of, quotas, takes_none
from headrace.prep.sources.table import Chunk, Table
from headrace.shards.manifest import TRAIN, VALIDATION, ClassInfo

_BINS = 256  # bins of keys for the first count
_SHIFT = np.uint64(56)
_Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """The training images that are used for validation: in each class, the images with the smallest keys.

    A key is a hash of the seed and of an image's index. For each class, `last` and `place` have the key and the index
    of the validation image with the largest key. `any` is true for classes with validation images.
    """

    seed: int
    last: NDArray[np.uint64]
    place: _Labels
    any: NDArray[np.bool_]

    def of(self, labels: _Labels, first: int) -> NDArray[np.bool_]:
        """A mask of the training images with these labels: true for those that are used for validation.

        `first` is the index of the first of these images among all training images.
        """
        places = np.arange(first, first + len(labels))
        keys, last = keys_of(places, self.seed), self.last[labels]
        chosen: NDArray[np.bool_] = (keys < last) | ((keys == last) & (places <= self.place[labels]))
        return self.any[labels] & chosen


def share_of(labels: Callable[[], Iterable[_Labels]], classes: int, fraction: float, seed: int) -> Share:
    """Choose the training images to use for validation.

    Each call of `labels` yields the labels of all training images in order. The chosen images are those that
    `validation_part` chooses, but the keys of all images need not be in memory. First, the images of each class are
    counted in 256 ranges (bins) of keys. The counts tell in which bin a class reaches its number of validation images.
    Only the keys in this bin are sorted.
    """
    counts = np.zeros((classes, _BINS), np.int64)
    for some, keys, _ in _keyed(labels(), seed):
        np.add.at(counts, (some, (keys >> _SHIFT).astype(np.int64)), 1)
    quota = np.maximum(quotas(counts.sum(axis=1), fraction), 0)
    before = np.cumsum(counts, axis=1)
    bins = np.minimum((before < quota[:, None]).sum(axis=1), _BINS - 1)  # the bin in which the quota is reached
    inside = quota - np.where(bins > 0, before[np.arange(classes), bins - 1], 0)
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.int64))]
    for some, keys, places in _keyed(labels(), seed):
        rows = np.flatnonzero((quota[some] > 0) & ((keys >> _SHIFT).astype(np.int64) == bins[some]))
        parts.append((some[rows], keys[rows], places[rows]))
    own, keys, places = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((places, keys, own))
    last = order[np.searchsorted(own[order], np.flatnonzero(quota > 0)) + inside[quota > 0] - 1]
    share = Share(seed, np.zeros(classes, np.uint64), np.zeros(classes, np.int64), quota > 0)
    share.last[own[last]], share.place[own[last]] = keys[last], places[last]
    return share


def _keyed(labels: Iterable[_Labels], seed: int) -> Iterator[tuple[_Labels, NDArray[np.uint64], _Labels]]:
    first = 0
    for some in labels:
        places = np.arange(first, first + len(some))
        yield some, keys_of(places, seed), places
        first += len(some)


class _FirstOfEach:
    """Finds the first `per_class` samples of each class in each split.

    The samples are passed in order, in several calls of `of`.
    """

    def __init__(self, classes: int, splits: int, per_class: int) -> None:
        self._seen = np.zeros(classes * splits, np.int64)
        self._classes, self._per_class = classes, per_class

    def of(self, labels: _Labels, splits: _Labels) -> NDArray[np.bool_]:
        """A mask of the next samples: true for the first `per_class` samples of each class and split."""
        groups = splits * self._classes + labels
        order = np.argsort(groups, kind="stable")
        ordered = groups[order]
        rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left") + self._seen[ordered]
        keep = np.zeros(len(groups), bool)
        keep[order] = rank < self._per_class
        self._seen += np.bincount(groups, minlength=len(self._seen))
        return keep


@dataclass(frozen=True)
class ListedSource:
    """A source whose samples are in a table on the disk, sorted by path, with numbers for labels and splits.

    `number` maps the number of a label in the table to the label. `code` maps the number of a split in the table to its
    index in `names`. The images of `share` become the validation split.
    """

    layout: str
    classes: tuple[ClassInfo, ...]
    names: list[str]
    others: FileTable
    files: Files
    reader: Reader
    table: Table
    number: _Labels
    code: _Labels
    share: Share | None = None
    remarks: list[str] = field(default_factory=list)
    first_classes: int | None = None
    per_class: int | None = None
    empty: list[str] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """An upper bound of the number of samples."""
        return len(self.table)

    def chunks(self) -> Iterator[Chunk]:
        """All samples, sorted by path."""
        for chunk, of_class, keep in self._judged():
            rows = np.flatnonzero(of_class & keep)
            yield chunk if len(rows) == len(chunk.paths) else chunk.take(rows)

    @cached_property
    def unused(self) -> list[Unused]:
        """The samples that are omitted because of the options, with the reasons."""
        if self.first_classes is None and self.per_class is None:
            return []
        found = []
        for chunk, of_class, keep in self._judged():
            for reason, cut in ((BY_CLASSES, ~of_class), (BY_PER_CLASS, of_class & ~keep)):
                found += [Unused(chunk.paths[row], reason) for row in np.flatnonzero(cut).tolist()]
        return found

    def divided(self, fraction: float, seed: int) -> "ListedSource":
        """Return the source with a validation split: the share `fraction` of the training images of each class.

        If `fraction` is 0, the source is returned unchanged. Raises UsageError if the validation split would have no
        image.
        """
        if not fraction:
            return self
        train = self.names.index(TRAIN)

        def labels() -> Iterator[_Labels]:
            for chunk in self.table.chunks():
                yield chunk.rows["label"][self.code[chunk.rows["split"]] == train].astype(np.int64)

        share = share_of(labels, len(self.number), fraction, seed)
        if not share.any.any():
            raise takes_none(self.files, fraction)
        others = [name for name in self.names if name != TRAIN]
        names = [TRAIN, VALIDATION, *others]
        moved = np.array([names.index(name) for name in self.names], np.int64)
        return replace(self, names=names, code=moved[self.code], share=share)

    def used(self) -> list[int]:
        """The labels that samples have: all labels in the table."""
        found: list[int] = np.unique(self.number).tolist()
        return found

    def renumbered(self, number: NDArray[np.int64], classes: tuple[ClassInfo, ...]) -> "ListedSource":
        """Return the source with the classes `classes`; `number` has the new label for each old label."""
        return replace(self, classes=classes, number=number[self.number])

    def limited(self, classes: int | None, per_class: int | None) -> "ListedSource":
        """The source with only its first `classes` classes, and only `per_class` files of each class in each split.

        The files that come first by path are kept. None means no limit.
        """
        return replace(self, classes=self.classes[:classes], first_classes=classes, per_class=per_class)

    def _judged(self) -> Iterator[tuple[Chunk, NDArray[np.bool_], NDArray[np.bool_]]]:
        """Yield all rows in chunks, with their final labels and splits, and two masks for each chunk.

        The first mask is true for rows whose class --classes keeps, the second for rows that --per-class keeps.
        """
        classes = max(int(self.number.max()) + 1, len(self.classes))
        limit = _FirstOfEach(classes, len(self.names), self.per_class) if self.per_class is not None else None
        trained = 0
        for chunk in self.table.chunks():
            rows = chunk.rows.copy()
            rows["split"] = self.code[rows["split"]]
            if self.share is not None:
                train = np.flatnonzero(rows["split"] == self.names.index(TRAIN))
                chosen = self.share.of(rows["label"][train].astype(np.int64), trained)
                rows["split"][train[chosen]] = self.names.index(VALIDATION)
                trained += len(train)
            rows["label"] = labels = self.number[rows["label"]]
            of_class = labels < (classes if self.first_classes is None else self.first_classes)
            keep = np.ones(len(labels), bool)
            if limit is not None:
                keep[of_class] = limit.of(labels[of_class], rows["split"][of_class].astype(np.int64))
            yield Chunk(rows, chunk.paths), of_class, keep
