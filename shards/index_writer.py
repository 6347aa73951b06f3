"""Writes `SPLIT.parquet` as rows arrive: only one row group is in memory, however many rows there are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.shards import store
from headrace.shards.manifest import FileInfo
from headrace.shards.parts import SummingWriter
from headrace.shards.sample import ROW, Rows

LARGE = 1 << 22
"""The index of a split with more samples has row groups that end where shards end, and a SHA-256 for each MiB."""
_MOST = 1 << 20  # most rows of a group; groups of smaller splits have this many, regardless of shards
_LEAST = 1 << 18  # a group of a large split with at least this many rows ends with the shard
NUMBERS = [name for name in ROW.names or () if name != "sha256"]
TYPES = {
    "key": pa.string(),
    **{name: pa.from_numpy_dtype(ROW[name]) for name in NUMBERS},
    "sha256": pa.binary(32),
    "source": pa.string(),
}


class _Part(NamedTuple):
    rows: Rows
    keys: Any  # Arrow arrays of strings
    sources: Any

    def between(self, first: int, last: int) -> "_Part":
        """The rows with indexes `first` to `last` (excluded), with their keys and source paths."""
        return _Part(self.rows[first:last], self.keys[first:last], self.sources[first:last])


class IndexWriter:
    """Writes the rows of a split in the order of the tars.

    The file is the same however the rows are divided among calls of `add`.
    """

    def __init__(self, stream: BinaryIO, name: str, samples: int) -> None:
        """`samples` is the number of samples in the split, which determines where row groups end."""
        self._name, self._samples, self._by_shard = name, samples, samples > LARGE
        self._sums = SummingWriter(stream)
        schema = pa.schema(list(TYPES.items()))
        sink = pa.PythonFile(self._sums, mode="w")
        self._out = pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=False)
        self._waiting: list[_Part] = []
        self._written = 0

    def add(self, rows: Rows, keys: Sequence[str], sources: Sequence[str]) -> None:
        """Add the next rows, with the key of each sample and its path inside the source."""
        if not len(rows):
            return
        self._waiting.append(_Part(rows, pa.array(keys, pa.string()), pa.array(sources, pa.string())))
        while count := self._complete():
            self._write(count)

    def close(self) -> None:
        """Write the remaining rows and the Parquet footer. Raises ValueError unless every sample has one row."""
        left = sum(len(part.rows) for part in self._waiting)
        if self._written + left != self._samples:
            raise ValueError(
                f"{self._name}: {self._written + left:,} rows were added, but the split has {self._samples:,} samples"
            )
        if left or not self._samples:
            self._write(left)
        self._out.close()

    def abandon(self) -> None:
        """Release the writer and leave the file unfinished."""
        with suppress(Exception):  # an unclosed writer would raise it at garbage collection, where nobody can catch it
            self._out.close()

    @property
    def info(self) -> FileInfo:
        """The file's entry for the manifest, which is complete after `close`."""
        sums = self._sums
        parts = sums.parts if self._by_shard else None
        return FileInfo(name=self._name, bytes=sums.bytes, sha256=sums.sha256, parts=parts)

    def _complete(self) -> int:
        """The number of waiting rows to write as the next row group; 0 if more rows must be added first."""
        waiting = sum(len(part.rows) for part in self._waiting)
        if self._by_shard and waiting > _LEAST:
            shards = np.concatenate([part.rows["shard"] for part in self._waiting])
            ends = np.flatnonzero(shards[_LEAST:_MOST] != shards[_LEAST - 1 : min(_MOST, waiting) - 1])
            if len(ends):
                return _LEAST + int(ends[0])
        return _MOST if waiting >= _MOST else 0

    def _write(self, count: int) -> None:
        """Write the first `count` waiting rows as a row group."""
        parts = []
        while count:
            part = self._waiting.pop(0)
            if len(part.rows) > count:
                self._waiting.insert(0, part.between(count, len(part.rows)))
                part = part.between(0, count)
            parts.append(part)
            count -= len(part.rows)
        table = _table(parts)
        parts.clear()  # the table has copied their rows, so they can be released while it is written
        self._out.write_table(table, _MOST)
        self._written += len(table)


@contextmanager
def writing(path: Path, samples: int) -> Iterator[IndexWriter]:
    """Yield a writer of the index at `path`. After the block, the file exists, and the writer's `info` is valid."""
    with store.replacing(path) as stream:
        writer = IndexWriter(stream, path.name, samples)
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abandon()
            raise


def _table(parts: Sequence[_Part]) -> Any:
    """The rows of all parts as one Arrow table, joined column by column."""
    rows = [np.empty(0, ROW), *(part.rows for part in parts)]
    numbers = {name: pa.array(np.concatenate([one[name] for one in rows])) for name in NUMBERS}
    # NumPy joins several parts of one row each in column order, which would interleave their hashes in the buffer.
    sums = np.ascontiguousarray(np.concatenate([one["sha256"] for one in rows]))
    hashes = pa.FixedSizeBinaryArray.from_buffers(TYPES["sha256"], len(sums), [None, pa.py_buffer(sums)])
    keys = pa.chunked_array([part.keys for part in parts], pa.string())
    sources = pa.chunked_array([part.sources for part in parts], pa.string())
    return pa.table({"key": keys, **numbers, "sha256": hashes, "source": sources})
