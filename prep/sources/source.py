"""What a source is to the rest of prep: splits of labelled files, a class list, and a fingerprint."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources.files import (
    BY_CLASSES,
    BY_EMPTY_CLASS,
    BY_PER_CLASS,
    UNKNOWN_CRC,
    Entry,
    Files,
    FileTable,
    Reader,
    Unused,
)
from headrace.shards.manifest import ClassInfo


@dataclass(frozen=True)
class Listed:
    """One split before conversion: its files sorted by path, and the label of each."""

    files: FileTable
    labels: NDArray[np.int64]

    def part(self, chosen: NDArray[np.bool_]) -> "Listed":
        """The samples that are chosen."""
        return Listed(self.files.take(np.flatnonzero(chosen)), self.labels[chosen])

    def first_of_each(self, keep: NDArray[np.bool_], per_class: int | None) -> NDArray[np.bool_]:
        """Which of the samples to keep are among the first `per_class` of their label; all if that is None."""
        keep = keep.copy()
        if per_class is not None:
            by_label = np.argsort(np.where(keep, self.labels, np.iinfo(np.int64).max), kind="stable")
            ordered = self.labels[by_label]
            rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left")
            keep[by_label] &= rank < per_class
        return keep


@dataclass(frozen=True)
class Source:
    """A data set to convert.

    `others` are the files beside the images that decide about labels or names. `unused` is everything else that is no
    sample, and why; `empty` are folders for classes that have no file. Paths are relative to the root of the data set,
    so that a zip and the folder unpacked from it are the same source.
    """

    layout: str
    classes: tuple[ClassInfo, ...]
    splits: dict[str, Listed]
    others: FileTable
    files: Files
    reader: Reader
    unused: list[Unused] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What to tell the user about how the source was understood, a line each."""

    def limited(self, classes: int | None, per_class: int | None) -> "Source":
        """The source cut down to its first classes and their first files."""
        if classes is None and per_class is None:
            return self
        splits, unused = {}, list(self.unused)
        for name, listed in self.splits.items():
            of_class = listed.labels < (len(self.classes) if classes is None else classes)
            keep = listed.first_of_each(of_class, per_class)
            for reason, cut in ((BY_CLASSES, ~of_class), (BY_PER_CLASS, of_class & ~keep)):
                unused += [Unused(listed.files.paths[row], reason) for row in np.flatnonzero(cut).tolist()]
            splits[name] = listed.part(keep)
        return replace(self, classes=self.classes[:classes], splits=splits, unused=unused)

    def without(self, labels: list[int], reasons: dict[str, str]) -> "Source":
        """The source without these classes; `reasons` say of some of their files why, the others are BY_EMPTY_CLASS."""
        number = np.cumsum(~np.isin(np.arange(len(self.classes)), labels)) - 1
        splits, unused = {}, list(self.unused)
        for name, listed in self.splits.items():
            keep = ~np.isin(listed.labels, labels)
            gone = (listed.files.paths[row] for row in np.flatnonzero(~keep).tolist())
            unused += [Unused(path, reasons.get(path, BY_EMPTY_CLASS)) for path in gone]
            kept = listed.part(keep)
            splits[name] = Listed(kept.files, number[kept.labels])
        classes = tuple(one for label, one in enumerate(self.classes) if label not in labels)
        return replace(self, classes=classes, splits=splits, unused=unused)


@dataclass(frozen=True)
class States:
    """Path, size and CRC-32 of each file, as columns."""

    paths: list[str]
    sizes: NDArray[np.int64]
    crcs: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence["States"]) -> "States":
        """All files of the parts, in their order."""
        nothing = np.empty(0, np.int64)
        return cls(
            [path for part in parts for path in part.paths],
            np.concatenate([nothing, *(part.sizes for part in parts)]),
            np.concatenate([nothing, *(part.crcs for part in parts)]),
        )

    def fingerprint(self) -> str:
        """SHA-256 over the sorted states: equal exactly when the same files hold the same bytes."""
        by_numbers = np.lexsort((self.crcs, self.sizes)).tolist()
        state = hashlib.sha256()
        for row in sorted(by_numbers, key=self.paths.__getitem__):
            line = f"{self.paths[row]}\t{self.sizes[row]}\t{self.crcs[row]:08x}\n"
            state.update(line.encode("utf-8", "surrogateescape"))
        return state.hexdigest()

    def __len__(self) -> int:
        return len(self.paths)


def states(table: FileTable, reader: Reader) -> States:
    """Path, size and CRC-32 of each file; what the table does not know is read."""
    crcs = table.crcs.copy()
    for row, entry in enumerate(table):
        if entry.crc32 == UNKNOWN_CRC:
            crcs[row] = _crc32(entry, reader)
    return States(table.paths, table.sizes, crcs)


def _crc32(entry: Entry, reader: Reader) -> int:
    crc = 0
    for data in reader.chunks(entry):
        crc = zlib.crc32(data, crc)
    return crc
