"""Defines the interface of a source, a data set to convert: splits of labelled files, a class list, a fingerprint."""

import hashlib
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources.files import (
    BY_CLASSES,
    BY_PER_CLASS,
    UNKNOWN_CRC,
    Entry,
    Files,
    FileTable,
    Reader,
    Unused,
)
from headrace.prep.sources.read_ahead import each
from headrace.prep.sources.table import CHUNK, Chunk, chunk_of, joined
from headrace.shards.manifest import ClassInfo


@dataclass(frozen=True)
class Listed:
    """One split before conversion: its files sorted by path, and the label of each file."""

    files: FileTable
    labels: NDArray[np.int64]

    def part(self, chosen: NDArray[np.bool_]) -> "Listed":
        """The samples for which `chosen` is true."""
        return Listed(self.files.take(np.flatnonzero(chosen)), self.labels[chosen])

    def first_of_each(self, keep: NDArray[np.bool_], per_class: int | None) -> NDArray[np.bool_]:
        """A mask of the first `per_class` samples of each label, among the samples for which `keep` is true.

        If `per_class` is None, the mask equals `keep`.
        """
        keep = keep.copy()
        if per_class is not None:
            by_label = np.argsort(np.where(keep, self.labels, np.iinfo(np.int64).max), kind="stable")
            ordered = self.labels[by_label]
            rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left")
            keep[by_label] &= rank < per_class
        return keep


class Source(Protocol):
    """A data set to convert.

    Paths are relative to the root of the source, so that a zip and the folder unpacked from it are the same source.
    """

    @property
    def layout(self) -> str:
        """The kind of source, as named in the manifest."""

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes in the order of their labels."""

    @property
    def others(self) -> FileTable:
        """Files that are not samples but determine labels or names, such as a list of classes."""

    @property
    def files(self) -> Files:
        """All files of the source, of any kind."""

    @property
    def reader(self) -> Reader:
        """A reader of the samples and of `others`."""

    @property
    def unused(self) -> list[Unused]:
        """The files that are not samples, each with the reason."""

    @property
    def empty(self) -> list[str]:
        """The class folders that contain no files."""

    @property
    def remarks(self) -> list[str]:
        """Lines for the user about how the source was interpreted."""

    @property
    def names(self) -> list[str]:
        """The names of the splits; a chunk stores a split as its index in this list."""

    @property
    def samples(self) -> int:
        """An upper bound of the number of samples."""

    def chunks(self) -> Iterator[Chunk]:
        """All samples, sorted by path, in chunks."""

    def used(self) -> list[int]:
        """The labels that at least one sample has, sorted."""

    def renumbered(self, number: NDArray[np.int64], classes: tuple[ClassInfo, ...]) -> "Source":
        """Return the source with the classes `classes`; `number` has the new label for each old label."""

    def limited(self, classes: int | None, per_class: int | None) -> "Source":
        """The source with only its first `classes` classes, and only `per_class` files of each class in each split.

        The files that come first by path are kept. None means no limit.
        """


@dataclass(frozen=True)
class TableSource:
    """A source whose samples are in memory."""

    layout: str
    classes: tuple[ClassInfo, ...]
    splits: dict[str, Listed]
    others: FileTable
    files: Files
    reader: Reader
    unused: list[Unused] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the splits."""
        return list(self.splits)

    @property
    def samples(self) -> int:
        """The number of samples."""
        return sum(len(listed.labels) for listed in self.splits.values())

    def chunks(self) -> Iterator[Chunk]:
        """All samples, sorted by path."""
        whole = joined([chunk_of(one.files, one.labels, code) for code, one in enumerate(self.splits.values())])
        order = np.array(sorted(range(len(whole.paths)), key=whole.paths.__getitem__), np.int64)
        for first in range(0, len(order), CHUNK):
            yield whole.take(order[first : first + CHUNK])

    def used(self) -> list[int]:
        """The labels that at least one sample has."""
        found: list[int] = np.unique(np.concatenate([listed.labels for listed in self.splits.values()])).tolist()
        return found

    def renumbered(self, number: NDArray[np.int64], classes: tuple[ClassInfo, ...]) -> "TableSource":
        """Return the source with the classes `classes`; `number` has the new label for each old label."""
        splits = {name: Listed(listed.files, number[listed.labels]) for name, listed in self.splits.items()}
        return replace(self, classes=classes, splits=splits)

    def limited(self, classes: int | None, per_class: int | None) -> "TableSource":
        """The source with only its first `classes` classes, and only `per_class` files of each class in each split.

        The files that come first by path are kept. None means no limit.
        """
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


State = tuple[str, int, int]
"""Path, size and CRC-32 of a file."""


def fingerprint(images: Iterable[Sequence[State]], others: Sequence[State]) -> tuple[str, int]:
    """The SHA-256 over path, size and CRC-32 of all files, sorted by path, and the number of files.

    Two sources have the same fingerprint if all paths, sizes and CRC-32s are equal. `images` yields chunks of images,
    sorted by path; `others` has the other files.
    """
    state, count, left = hashlib.sha256(), 0, sorted(others)
    for chunk in images:
        if left and left[0] <= chunk[-1]:
            among = bisect_right(left, chunk[-1])
            chunk = sorted([*chunk, *left[:among]])  # noqa: PLW2901  this concerns few chunks
            left = left[among:]
        count += len(chunk)
        _add(state, chunk)
    _add(state, left)
    return state.hexdigest(), count + len(left)


def _add(state: Any, states: Sequence[State]) -> None:
    text = "".join(f"{path}\t{size}\t{crc:08x}\n" for path, size, crc in states)
    state.update(text.encode("utf-8", "surrogateescape"))


def states(table: FileTable, reader: Reader) -> list[State]:
    """Path, size and CRC-32 of each file; files with unknown CRC-32 are read."""

    def state(entry: Entry) -> State:
        known = entry.crc32 != UNKNOWN_CRC
        return entry.path, entry.size, entry.crc32 if known else crc32_of(entry, reader)

    return list(each(reader, table, state))


def crc32_of(entry: Entry, reader: Reader) -> int:
    """Read a whole file; return its CRC-32."""
    crc = 0
    for data in reader.chunks(entry):
        crc = zlib.crc32(data, crc)
    return crc
