"""Finds files of a source that have the same bytes, and chooses which of them to keep, before shards are planned.

Samples are sorted by file size, in tables on the disk, and only files of equal size are compared. Such files are
compared by CRC-32, if the source is an archive that records it, and then by SHA-256. Memory holds only the entries of
the omitted files, of all files of one size, and of some thousands of other files.
"""

import hashlib
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.sources.files import CONFLICT, DUPLICATE, UNKNOWN_CRC, Entry, Reader
from headrace.prep.sources.source import Source
from headrace.prep.sources.table import ByKey, Chunk, Room, joined
from headrace.shards.counts import counted
from headrace.shards.draws import Stream, hash64
from headrace.shards.errors import DataError
from headrace.shards.manifest import TRAIN

_STAYS = ("test", "val", "train")  # of equal files, one in the first of these splits is kept; other splits come last


class Gone(NamedTuple):
    """The reason why a file is omitted, and the CRC-32 of the file."""

    reason: str
    crc: int


@dataclass
class Duplicates:
    """The files of a source to omit.

    A key of `gone` is the index of a file among all samples of the source, sorted by path.
    """

    gone: dict[int, Gone] = field(default_factory=dict)
    emptied: dict[int, int] = field(default_factory=dict)
    """The number of training images, by label, of each class whose training images are all omitted."""

    def among(self, first: int, count: int) -> NDArray[np.bool_]:
        """Return whether each of `count` samples from index `first` on is omitted, bool (count,)."""
        left_out = (place in self.gone for place in range(first, first + count))
        return np.fromiter(left_out, bool, count) if self.gone else np.zeros(count, bool)


NONE = Duplicates()


class Conflict(NamedTuple):
    """The paths of two files with the same bytes in different classes."""

    path: str
    other: str


def find_duplicates(
    source: Source, options: Options, folder: Path, workers: int, known: Duplicates = NONE
) -> Duplicates:
    """Return the files of a source to omit: the `known` files and, if --dedupe exact is given, duplicates.

    `folder` is for temporary tables. The `known` files are omitted in any case. Other files are not compared with the
    `known` files.

    Raises DataError if a file is unreadable, or if equal files are in different classes and the options do not drop
    them.
    """
    found = Duplicates(dict(known.gone))
    if options.dedupe != "exact":
        return found
    train = source.names.index(TRAIN)
    images, left = Counter[int](), Counter[int]()  # training images of each class: all, and the omitted ones
    conflicts: list[Conflict] = []
    with Room(folder) as room, ThreadPoolExecutor(workers) as pool:
        for chunk in _by_size(source, room, known):
            rows = chunk.rows
            images.update(rows["label"][rows["split"] == train].tolist())
            own = _of_equal_size(rows)
            sums = pool.map(partial(sums_of, source.reader), chunk.files.take(own))
            groups: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
            for row, (sha256, crc) in zip(own.tolist(), sums, strict=True):
                rows["crcs"][row] = crc
                groups[int(rows["sizes"][row]), sha256].append(row)
            for group in groups.values():
                for row, reason in _judge(chunk, group, source.names, conflicts):
                    found.gone[int(rows["rank"][row])] = Gone(reason, int(rows["crcs"][row]))
                    left[int(rows["label"][row])] += int(rows["split"][row] == train)
    if conflicts and options.on_conflict != "drop":
        raise conflict_error(source, conflicts)
    found.emptied = {label: count for label, count in sorted(left.items()) if count and count == images[label]}
    return found


def _by_size(source: Source, room: Room, known: Duplicates) -> Iterator[Chunk]:
    """Yield all samples except `known` in chunks, grouped by file size; all samples of one size are in the same chunk.

    The column `rank` has the index of each sample among all samples sorted by path.
    """
    sorter, first = ByKey(room, source.samples), 0
    for chunk in source.chunks():
        rows = chunk.rows.copy()
        rows["rank"] = np.arange(first, first + len(rows))
        rows["key"] = hash64(0, Stream.PREP, rows["sizes"])
        own = np.flatnonzero(~known.among(first, len(rows)))
        first += len(rows)
        sorter.add(Chunk(rows, chunk.paths).take(own))
    held: list[Chunk] = []  # samples of one size, which may continue in the next chunk
    for chunk in sorter.sorted():
        if held and chunk.rows["key"][0] != held[-1].rows["key"][-1]:
            yield joined(held)
            held = []
        cut = int(np.searchsorted(chunk.rows["key"], chunk.rows["key"][-1]))
        if cut:
            yield joined([*held, chunk.take(np.arange(cut))])
            held = []
        held.append(chunk.take(np.arange(cut, len(chunk.paths))))
    yield joined(held)


def _of_equal_size(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the indices of the rows whose file size also occurs in another row.

    If all rows have a CRC-32, the other row must have both the same size and the same CRC-32.
    """
    if not len(rows):
        return np.zeros(0, np.int64)
    known = bool((rows["crcs"] != UNKNOWN_CRC).all())
    columns = np.column_stack([rows["sizes"], rows["crcs"] if known else np.zeros(len(rows), np.int64)])
    _, inverse, counts = np.unique(columns, axis=0, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[inverse.reshape(-1)] > 1)


def sums_of(reader: Reader, entry: Entry) -> tuple[bytes, int]:
    """Return the SHA-256 and the CRC-32 of a file."""
    state, crc = hashlib.sha256(), 0
    for data in reader.chunks(entry):
        state.update(data)
        crc = zlib.crc32(data, crc)
    return state.digest(), crc


def _judge(chunk: Chunk, group: list[int], names: list[str], conflicts: list[Conflict]) -> Iterator[tuple[int, str]]:
    """Yield the rows to omit from a group of equal files, each with the reason.

    If the files are in different classes, a conflict is added to `conflicts`.
    """
    if len(group) == 1:
        return
    labels = chunk.rows["label"]

    def order(row: int) -> tuple[int, str]:
        name = names[chunk.rows["split"][row]]
        return (_STAYS.index(name) if name in _STAYS else len(_STAYS), chunk.paths[row])

    first, *others = sorted(group, key=order)
    odd = next((row for row in others if labels[row] != labels[first]), None)
    if odd is None:
        yield from ((row, f"{DUPLICATE}: {chunk.paths[first]}") for row in others)
        return
    conflicts.append(Conflict(*sorted((chunk.paths[first], chunk.paths[odd]))))
    for row in group:
        yield row, f"{CONFLICT}: {chunk.paths[odd if labels[row] == labels[first] else first]}"


def conflict_error(source: Source, conflicts: list[Conflict]) -> DataError:
    """Return the error for equal files in different classes."""
    path, other = min(conflicts)
    images = counted(len(conflicts), "image")
    return DataError(
        f"{source.files.root}: {images} in more than one class; for example, {path} and {other} have the same bytes. "
        "Correct the labels, or omit all such files with --on-conflict drop"
    )
