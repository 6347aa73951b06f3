"""What a source is to the rest of prep: splits of labelled files, a class list, and a fingerprint."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources.files import UNKNOWN_CRC, Entry, Files, FileTable, LeftOut, Reader
from headrace.shards.manifest import ClassInfo


@dataclass(frozen=True)
class Listed:
    """One split before conversion: its files sorted by path, and the label of each."""

    files: FileTable
    labels: NDArray[np.int64]

    def part(self, chosen: NDArray[np.bool_]) -> "Listed":
        """The samples that are chosen."""
        return Listed(self.files.take(np.flatnonzero(chosen)), self.labels[chosen])

    def limited(self, classes: int | None, per_class: int | None) -> "Listed":
        """Only the first `classes` labels, and of each the first `per_class` files."""
        keep = np.ones(len(self.labels), bool) if classes is None else self.labels < classes
        if per_class is not None:
            by_label = np.argsort(np.where(keep, self.labels, np.iinfo(np.int64).max), kind="stable")
            ordered = self.labels[by_label]
            rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left")
            keep[by_label] &= rank < per_class
        return self.part(keep)


@dataclass(frozen=True)
class Source:
    """A data set to convert.

    `others` are the files beside the images that decide about labels or names, `unused` the images that the layout has
    no place for, and why. Paths are relative to the root of the data set, so that a zip and the folder unpacked from
    it are the same source.
    """

    layout: str
    classes: tuple[ClassInfo, ...]
    splits: dict[str, Listed]
    others: FileTable
    files: Files
    reader: Reader
    unused: LeftOut = field(default_factory=list)

    @property
    def left_out(self) -> LeftOut:
        """All that is in no split, and why: what is not read, and images that are not used."""
        return self.files.left_out + self.unused

    def limited(self, classes: int | None, per_class: int | None) -> "Source":
        """The source cut down to its first classes and their first files."""
        splits = {name: listed.limited(classes, per_class) for name, listed in self.splits.items()}
        return replace(self, classes=self.classes[:classes], splits=splits)


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
