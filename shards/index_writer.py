"""`SPLIT.parquet` written as its rows come: what is held is a row group, however many rows there are."""

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
"""Samples of a split above which row groups follow its shards, and the manifest has the sums of the file's parts."""
_MOST = 1 << 20  # rows of a group; those of smaller splits have as many, wherever a shard ends
_LEAST = 1 << 18  # rows from which on a group of a large split ends with the shard
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
        """Some of its rows."""
        return _Part(self.rows[first:last], self.keys[first:last], self.sources[first:last])


class IndexWriter:
    """Rows in the order of the tars, in parts of any number: the bytes of the file do not depend on how they come."""

    def __init__(self, stream: BinaryIO, name: str, samples: int) -> None:
        """`samples` of the split, in all; they decide the layout."""
        self._name, self._samples, self._by_shard = name, samples, samples > LARGE
        self._sums = SummingWriter(stream)
        schema = pa.schema(list(TYPES.items()))
        sink = pa.PythonFile(self._sums, mode="w")
        self._out = pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=False)
        self._waiting: list[_Part] = []
        self._written = 0

    def add(self, rows: Rows, keys: Sequence[str], sources: Sequence[str]) -> None:
        """The next rows; `sources` has the path of each sample inside its source."""
        if not len(rows):
            return
        self._waiting.append(_Part(rows, pa.array(keys, pa.string()), pa.array(sources, pa.string())))
        while count := self._complete():
            self._write(count)

    def close(self) -> None:
        """Write what is left. Raises ValueError where not all samples came."""
        left = sum(len(part.rows) for part in self._waiting)
        if self._written + left != self._samples:
            raise ValueError(f"{self._name}: {self._written + left:,} rows for {self._samples:,} samples")
        if left or not self._samples:
            self._write(left)
        self._out.close()

    def abandon(self) -> None:
        """Leave the file unfinished."""
        with suppress(Exception):  # as the writer would when it is collected, where nobody can catch it
            self._out.close()

    @property
    def info(self) -> FileInfo:
        """What the manifest says of the file, once it is closed."""
        sums = self._sums
        parts = sums.parts if self._by_shard else None
        return FileInfo(name=self._name, bytes=sums.bytes, sha256=sums.sha256, parts=parts)

    def _complete(self) -> int:
        """Rows of the next group, 0 while more rows may still belong to it."""
        waiting = sum(len(part.rows) for part in self._waiting)
        if self._by_shard and waiting > _LEAST:
            shards = np.concatenate([part.rows["shard"] for part in self._waiting])
            ends = np.flatnonzero(shards[_LEAST:_MOST] != shards[_LEAST - 1 : min(_MOST, waiting) - 1])
            if len(ends):
                return _LEAST + int(ends[0])
        return _MOST if waiting >= _MOST else 0

    def _write(self, count: int) -> None:
        """A row group of the first rows that wait."""
        parts = []
        while count:
            part = self._waiting.pop(0)
            if len(part.rows) > count:
                self._waiting.insert(0, part.between(count, len(part.rows)))
                part = part.between(0, count)
            parts.append(part)
            count -= len(part.rows)
        rows = np.concatenate([np.empty(0, ROW), *(part.rows for part in parts)])
        self._out.write_table(_table(rows, [part.keys for part in parts], [part.sources for part in parts]), _MOST)
        self._written += len(rows)


@contextmanager
def writing(path: Path, samples: int) -> Iterator[IndexWriter]:
    """A writer of the index at `path`, which is there when the block ends well; its `info` holds from then on."""
    with store.replacing(path) as stream:
        writer = IndexWriter(stream, path.name, samples)
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abandon()
            raise


def _table(rows: Rows, keys: Sequence[Any], sources: Sequence[Any]) -> Any:
    numbers = {name: pa.array(np.ascontiguousarray(rows[name])) for name in NUMBERS}
    sums = pa.py_buffer(np.ascontiguousarray(rows["sha256"]))
    hashes = pa.FixedSizeBinaryArray.from_buffers(TYPES["sha256"], len(rows), [None, sums])
    texts = {name: pa.chunked_array(part, pa.string()) for name, part in (("key", keys), ("source", sources))}
    return pa.table({"key": texts["key"], **numbers, "sha256": hashes, "source": texts["source"]})
