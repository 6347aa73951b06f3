"""Stores tables of files on the disk, for listings of any length: numbers in one file, paths in another.

A table is read in chunks, and can be sorted by path or by a number. The sort is an external bucket sort (Knuth, The Art
of Computer Programming 3, 5.4.7). Rows are distributed to buckets, each for a range of paths or numbers. Then each
bucket is sorted in memory, and the sorted buckets in sequence are the sorted table. Memory holds one bucket at a time,
for any number of rows up to `_MOST` times `_BUCKET`.
"""

import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources.files import FileTable
from headrace.shards import store

CHUNK = 1 << 14
"""The number of rows in a chunk, if the caller does not give another number."""
NUMBERS = ("sizes", "crcs", "offsets", "packed", "methods", "times")
"""The numeric columns of a FileTable."""
ROW = np.dtype(
    [
        ("label", "<i4"),
        ("split", "<i4"),
        *((name, "<i8") for name in NUMBERS),
        ("key", "<u8"),  # the key for sorting rows
        ("rank", "<i8"),  # index of the row in another order
        ("end", "<i8"),  # end of its path among all paths
    ]
)
_BUCKET = 1 << 17  # rows
_MOST = 128  # buckets, each with two open files
_SAMPLED = 256  # sampled paths per bucket


class Chunk(NamedTuple):
    """Rows of a table in memory, with their paths."""

    rows: NDArray[np.void]
    paths: list[str]

    @property
    def files(self) -> FileTable:
        """The files that the rows of this chunk describe, as a FileTable."""
        return FileTable(self.paths, *(np.ascontiguousarray(self.rows[name]) for name in NUMBERS))

    def take(self, order: NDArray[np.int64]) -> "Chunk":
        """The rows with the indices `order`, in this order."""
        paths = self.paths
        return Chunk(self.rows[order], [paths[row] for row in order.tolist()])


def chunk_of(files: FileTable, labels: NDArray[np.int64], splits: NDArray[np.int64] | int) -> Chunk:
    """Make a chunk of rows from these files, with their labels and splits."""
    rows = np.zeros(len(files), ROW)
    rows["label"], rows["split"] = labels, splits
    for name in NUMBERS:
        rows[name] = getattr(files, name)
    return Chunk(rows, files.paths)


class Table:
    """A table whose rows are stored in two streams: one of numbers, one of paths.

    New rows are added at the end, and any rows can be read.
    """

    def __init__(self, rows: BinaryIO, paths: BinaryIO) -> None:
        self._rows, self._paths = rows, paths
        self._count = self._end = 0

    def __len__(self) -> int:
        return self._count

    def add(self, chunk: Chunk) -> None:
        """Add rows at the end."""
        texts = [path.encode() for path in chunk.paths]
        rows = chunk.rows.copy()
        rows["end"] = self._end + np.cumsum(np.array([*map(len, texts)], np.int64))
        if texts:
            self._end = int(rows["end"][-1])
        self._count += len(texts)
        self._rows.write(rows.tobytes())
        self._paths.write(b"".join(texts))

    def chunks(self, size: int = CHUNK) -> Iterator[Chunk]:
        """All rows in chunks of `size` rows."""
        self._rows.flush()
        self._paths.flush()
        files = self._rows.fileno(), self._paths.fileno()
        return (read_rows(*files, first, min(first + size, self._count)) for first in range(0, self._count, size))


def read_rows(rows: int, paths: int, first: int, last: int) -> Chunk:
    """Read the rows of a table from index `first` up to, but not including, `last`.

    `rows` and `paths` are the descriptors of the table's two open files. Raises OSError or ValueError if the files are
    damaged.
    """
    before = 1 if first else 0
    size = ROW.itemsize
    data = os.pread(rows, (last - first + before) * size, (first - before) * size)
    if len(data) != (last - first + before) * size:
        raise ValueError("the file of the table's rows ends too early")
    found = np.frombuffer(data, ROW)
    begin = int(found["end"][0]) if before else 0
    own = found[before:]
    text = os.pread(paths, int(own["end"][-1]) - begin, begin) if len(own) else b""
    ends = (own["end"] - begin).tolist()
    return Chunk(own, [text[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)])


class Room:
    """Creates tables in unnamed files in a folder; the files disappear when the process ends or `close` is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = ExitStack()

    def table(self) -> Table:
        """A new table, which exists until the room is closed."""
        return Table(self._file(), self._file())

    def close(self) -> None:
        """Remove all tables."""
        self._open.close()

    def _file(self) -> BinaryIO:
        with store.writing(self.folder):
            return cast(BinaryIO, self._open.enter_context(tempfile.TemporaryFile(dir=self.folder)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Sorter:
    """Distributes the added rows to buckets, and yields all rows sorted. Rows with equal keys keep their order."""

    def __init__(self, room: Room, count: int) -> None:
        self._buckets = [room.table() for _ in range(count)] if count > 1 else []
        self._whole: list[Chunk] = []  # all rows, if one bucket is enough: it would be read into memory anyway

    def add(self, chunk: Chunk) -> None:
        """Add the next rows."""
        if not self._buckets:
            self._whole.append(chunk)
            return
        numbers = self._bucket(chunk)
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers, minlength=len(self._buckets))).tolist()
        for number, (first, last) in enumerate(zip([0, *ends], ends, strict=False)):
            if last > first:
                self._buckets[number].add(chunk.take(order[first:last]))

    def sorted(self) -> Iterator[Chunk]:
        """All rows in order, in chunks."""
        wholes = (joined(list(one.chunks(max(len(one), 1)))) for one in self._buckets)
        for whole in wholes if self._buckets else [joined(self._whole)]:
            order = self._order(whole)
            for first in range(0, len(order), CHUNK):
                yield whole.take(order[first : first + CHUNK])

    def _bucket(self, chunk: Chunk) -> NDArray[np.int64]:
        """The number of the bucket for each row."""
        raise NotImplementedError

    def _order(self, chunk: Chunk) -> NDArray[np.int64]:
        """The indices that sort the rows of a bucket."""
        raise NotImplementedError


class ByPath(_Sorter):
    """Sorts rows by path; the limits between the buckets are paths from a sample of the table."""

    def __init__(self, room: Room, table: Table) -> None:
        count = _buckets(len(table))
        super().__init__(room, count)
        sample = sorted(_sample(table, count * _SAMPLED)) if count > 1 else []
        self._cuts = [sample[len(sample) * k // count] for k in range(1, count)]

    def _bucket(self, chunk: Chunk) -> NDArray[np.int64]:
        return np.array([bisect_right(self._cuts, path) for path in chunk.paths], np.int64)

    def _order(self, chunk: Chunk) -> NDArray[np.int64]:
        return np.array(sorted(range(len(chunk.paths)), key=chunk.paths.__getitem__), np.int64)


def _sample(table: Table, size: int) -> Iterator[str]:
    """About `size` paths, but at least one, from positions that a hash function chooses."""
    first, bound = 0, max(1, (size << 32) // len(table))
    for chunk in table.chunks():
        places = np.arange(first, first + len(chunk.paths), dtype=np.uint64)
        chosen = (places * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32) < bound  # Fibonacci hashing; 0 is chosen
        yield from (chunk.paths[row] for row in np.flatnonzero(chosen).tolist())
        first += len(chunk.paths)


class ByKey(_Sorter):
    """Sorts at most `samples` rows by key; keys are evenly distributed numbers of 64 bits."""

    def __init__(self, room: Room, samples: int) -> None:
        self._count = _buckets(samples)
        super().__init__(room, self._count)

    def _bucket(self, chunk: Chunk) -> NDArray[np.int64]:
        return ((chunk.rows["key"] >> np.uint64(32)) * np.uint64(self._count) >> np.uint64(32)).astype(np.int64)

    def _order(self, chunk: Chunk) -> NDArray[np.int64]:
        return np.argsort(chunk.rows["key"], kind="stable")


def _buckets(samples: int) -> int:
    return max(1, min(_MOST, -(-samples // _BUCKET)))


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Join chunks into one."""
    rows: Any = np.concatenate([chunk.rows for chunk in chunks]) if chunks else np.zeros(0, ROW)
    return Chunk(rows, [path for chunk in chunks for path in chunk.paths])
