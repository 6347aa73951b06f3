"""Reads `SPLIT.parquet`, the index of a split: a Parquet file with one row for each sample.

Training reads only its numeric columns; people can read all columns, for example with DuckDB or pandas.

The rows are in the order of the tars: row number = sample id. Bytes are checked by SHA-256 before they are parsed.
"""

import errno
import hashlib
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headrace.shards import remedy
from headrace.shards.errors import DataError, NewerError
from headrace.shards.index_writer import TYPES
from headrace.shards.manifest import FileInfo
from headrace.shards.parts import PART, CheckedReader, OtherFileError

_BATCH = 1 << 16  # rows of a batch


class Index:
    """The index of a split, open for reading row group by row group. Close it after use.

    Arrow's threads are not used: a thread that releases the file while the interpreter exits would abort the process.
    Opening and reading raise DataError for a damaged file, and NewerError for a file with unknown columns.
    """

    def __init__(self, root: Path, info: FileInfo) -> None:
        self.path = root / info.name
        self._root, self._info = root, info
        try:
            self._file = CheckedReader(self.path, info.bytes, info.sha256, info.parts)
        except (OSError, OtherFileError) as error:
            raise _error(root, info, error) from error
        try:
            self._parquet = pq.ParquetFile(pa.PythonFile(self._file, mode="r"), pre_buffer=False, buffer_size=PART)
            names = self._parquet.schema_arrow.names
            groups = [self._parquet.metadata.row_group(number) for number in range(self._parquet.num_row_groups)]
        except (pa.ArrowException, OSError, OtherFileError) as error:
            self.close()
            raise self._error(error) from error
        self.rows = int(self._parquet.metadata.num_rows)
        self.group_rows = [int(group.num_rows) for group in groups]
        self._known = names

    def close(self) -> None:
        """Close the file, and release the memory that reading it took."""
        self._file.close()
        pa.default_memory_pool().release_unused()

    def read(self, columns: Sequence[str], group: int | None = None) -> dict[str, Any]:
        """Columns of one row group, or of the whole file, as Arrow arrays without nulls."""
        self._refuse_columns(columns)
        try:
            if group is None:
                table = self._parquet.read(list(columns), use_threads=False)
            else:
                table = self._parquet.read_row_group(group, list(columns), use_threads=False)
        except (pa.ArrowException, OSError, OtherFileError) as error:
            raise self._error(error) from error
        return {name: column.combine_chunks() for name, column in self._checked(table, columns).items()}

    def batches(self, columns: Sequence[str], group: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield columns of one or all row groups, as Arrow arrays without nulls, in batches of at most 65,536 rows.

        A few MB of each column are in memory at a time, however large the file and its row groups are.
        """
        self._refuse_columns(columns)
        groups = range(len(self.group_rows)) if group is None else (group,)
        for number in groups:
            found = self._parquet.iter_batches(_BATCH, [number], list(columns), use_threads=False)
            while (batch := self._next(found)) is not None:
                yield self._checked(batch, columns)

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            return next(batches, None)
        except (pa.ArrowException, OSError, OtherFileError) as error:
            raise self._error(error) from error

    def _checked(self, table: Any, columns: Sequence[str]) -> dict[str, Any]:
        """These columns of an Arrow table or batch.

        Raises DataError unless each column has the expected type and no nulls.
        """
        found = {name: table.column(name) for name in columns}
        for name, column in found.items():
            if column.type != TYPES[name] or column.null_count:
                raise DataError(
                    f"{self.path}: column {name!r} is {column.type} with {column.null_count} nulls, "
                    f"expected {TYPES[name]} without nulls. {remedy.of_indexes(self._root)}"
                )
        return found

    def check_whole(self) -> None:
        """Raise DataError unless the whole file has the SHA-256 in the manifest."""
        seen = hashlib.sha256()
        self._file.seek(0)
        try:
            while data := self._file.read(PART):
                seen.update(data)
        except (OSError, OtherFileError) as error:
            raise self._error(error) from error
        if seen.hexdigest() != self._info.sha256:
            raise self._error(OtherFileError("its SHA-256 differs"))

    def _refuse_columns(self, columns: Sequence[str]) -> None:
        if missing := sorted(set(columns) - set(self._known)):
            raise DataError(f"{self.path}: the index has no column {missing}. {remedy.of_indexes(self._root)}")
        if unknown := sorted(set(self._known) - TYPES.keys()):
            what = f"it has a column that this version does not know, {unknown[0][:255]}"
            raise NewerError.of(self.path, what)

    def _error(self, error: Exception) -> DataError:
        return _error(self._root, self._info, error)


def _error(root: Path, info: FileInfo, error: Exception) -> DataError:
    what = str(error)
    if isinstance(error, OtherFileError):
        what = f"not the file that the manifest describes ({error})"
    elif isinstance(error, OSError) and error.strerror:
        what = error.strerror
    return DataError(f"{root / info.name}: {what}. {remedy.of_indexes(root)}")


def read_numbers(root: Path, info: FileInfo, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read numeric columns as NumPy arrays. Raises the errors of `Index`."""
    with closing(Index(root, info)) as found:
        return {name: column.to_numpy() for name, column in found.read(columns).items()}


def read_texts(root: Path, info: FileInfo, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Read any columns, such as keys, sources and hashes, as Python lists. Raises the errors of `Index`."""
    with closing(Index(root, info)) as found:
        return {name: column.to_pylist() for name, column in found.read(columns).items()}


def read_groups(root: Path, info: FileInfo, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Read columns as Arrow arrays, one row group at a time. Raises the errors of `Index`."""
    with closing(Index(root, info)) as found:
        for number in range(len(found.group_rows)):
            yield found.read(columns, number)


def texts_at(root: Path, info: FileInfo, ids: Sequence[int]) -> list[tuple[str, str]]:
    """Key and source path of each sample in `ids`, which must be in increasing order. Raises the errors of `Index`."""
    texts: list[tuple[str, str]] = []
    with closing(Index(root, info)) as found:
        first = 0
        for number, rows in enumerate(found.group_rows):
            end = first + rows
            if len(texts) < len(ids) and ids[len(texts)] < end:
                for batch in found.batches(("key", "source"), number):
                    keys, sources = batch["key"], batch["source"]
                    while len(texts) < len(ids) and ids[len(texts)] < first + len(keys):
                        row = ids[len(texts)] - first
                        texts.append((keys[row].as_py(), sources[row].as_py()))
                    first += len(keys)
            first = end
    return texts


def check_size(root: Path, info: FileInfo) -> None:
    """Raise DataError unless the file exists with the size in the manifest; the file is not read."""
    try:
        seen = (root / info.name).stat()
    except OSError as error:
        raise _error(root, info, error) from error
    if not stat.S_ISREG(seen.st_mode):
        raise _error(root, info, OSError(errno.EINVAL, "not a regular file"))
    if seen.st_size != info.bytes:
        raise _error(root, info, OtherFileError(f"it has {seen.st_size:,} bytes, expected {info.bytes:,}"))


def check_whole(root: Path, info: FileInfo) -> None:
    """Raise DataError unless the whole file has the SHA-256 in the manifest.

    In contrast, reading rows checks only the parts of the file that contain these rows.
    """
    with closing(Index(root, info)) as found:
        found.check_whole()


def refuse_newer(root: Path, info: FileInfo) -> None:
    """Raise NewerError for a file with unknown columns; a missing or damaged file is ignored."""
    try:
        with closing(Index(root, info)) as found:
            found.read(())
    except NewerError:
        raise
    except DataError:
        return
