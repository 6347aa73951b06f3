"""`SPLIT.parquet`: one row a sample, for training (number columns only) and for people (DuckDB, pandas).

The rows are in the order of the tars: row number = sample id.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headrace.shards import regular, remedy
from headrace.shards.errors import DataError, NewerError
from headrace.shards.manifest import FileInfo
from headrace.shards.sample import ROW, Rows

_NUMBERS = [name for name in ROW.names or () if name != "sha256"]
_TYPES = {
    "key": pa.string(),
    "source": pa.string(),
    "sha256": pa.binary(32),
    **{name: pa.from_numpy_dtype(ROW[name]) for name in _NUMBERS},
}
_ROW_GROUP = 1 << 20


def render(rows: Rows, keys: Iterable[Sequence[str]], sources: Iterable[Sequence[str]]) -> bytes:
    """The Parquet file of a split. `sources`: path of each sample inside its source; both may come in parts."""
    numbers = {name: pa.array(np.ascontiguousarray(rows[name])) for name in _NUMBERS}
    hashes = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows["sha256"]))]
    )
    table = pa.table({"key": _texts(keys), **numbers, "sha256": hashes, "source": _texts(sources)})
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", row_group_size=_ROW_GROUP, use_dictionary=False)
    return out.getvalue()


def _texts(parts: Iterable[Sequence[str]]) -> pa.ChunkedArray:
    """A column made part by part: only one part's Python strings are in memory at a time."""
    return pa.chunked_array([pa.array(part, pa.string()) for part in parts], pa.string())


def _checked(root: Path, info: FileInfo) -> pa.BufferReader:
    """The file's bytes, after their SHA-256 is that of the manifest: damaged Parquet is never parsed."""
    path = root / info.name
    try:
        data = regular.read(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. {remedy.of_indexes(root)}") from error
    if len(data) != info.bytes or hashlib.sha256(data).hexdigest() != info.sha256:
        raise DataError(
            f"{path}: not the file that the manifest describes ({len(data):,} bytes, expected {info.bytes:,}). "
            f"{remedy.of_indexes(root)}"
        )
    return pa.BufferReader(data)


def read_numbers(root: Path, info: FileInfo, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Number columns as numpy arrays. Raises DataError when the file is damaged, NewerError for unknown columns."""
    return {name: column.to_numpy() for name, column in _read(root, info, columns).items()}


def read_texts(root: Path, info: FileInfo, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Any columns as Python lists: keys, sources, hashes. Raises what `read_numbers` raises."""
    return {name: column.to_pylist() for name, column in _read(root, info, columns).items()}


def refuse_newer(root: Path, info: FileInfo) -> None:
    """Raise NewerError for a file with columns that are not known here; one that is lost or damaged has none."""
    try:
        _read(root, info, ())
    except NewerError:
        raise
    except DataError:
        return


def _read(root: Path, info: FileInfo, columns: Sequence[str]) -> dict[str, Any]:
    source = _checked(root, info)
    try:
        there = pq.read_schema(source).names
        table = pq.read_table(source, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{root / info.name}: {error}. {remedy.of_indexes(root)}") from error
    missing = set(columns) - set(table.column_names)
    if missing:
        raise DataError(f"{root / info.name}: no column {sorted(missing)}. {remedy.of_indexes(root)}")
    if unknown := sorted(set(there) - _TYPES.keys()):
        raise NewerError.of(root / info.name, f"it has a column that this version does not know, {unknown[0][:255]}")
    for name in columns:
        column, expected = table.column(name), _TYPES[name]
        if column.type != expected or column.null_count:
            raise DataError(
                f"{root / info.name}: column {name!r} is {column.type} with {column.null_count} nulls, "
                f"expected {expected} without any. {remedy.of_indexes(root)}"
            )
    return {name: table.column(name).combine_chunks() for name in columns}
