"""Finds the samples that meet a condition in SQL, with DuckDB over the index, one row group at a time.

Only this module uses DuckDB, which is optional (`pip install "headrace[query]"`). DuckDB receives rows of the index
that are already checked. It has no access to files, the network, extensions or Python variables. A condition is a
single expression; a second statement is a syntax error.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.prep.make.subset.asked import Ids
from headrace.shards import index
from headrace.shards.errors import UsageError
from headrace.shards.index_writer import TYPES
from headrace.shards.shardset import ShardSet

COLUMNS = ("split", "id", "class", *TYPES)
"""The names that a condition may use: the columns of the index, and the split, the id and the class id of a sample."""
_CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


def matching(shards: ShardSet, condition: str) -> Ids:
    """Return, for each split, the ids of the samples for which the condition is true (neither false nor NULL).

    Raises UsageError if DuckDB is not installed, or if the condition is invalid, cannot be computed for a sample, or
    gives different results when it is computed again.
    """
    query = _Query(condition)
    found = {}
    for split in shards.manifest.splits:
        first, parts = 0, [np.zeros(0, np.int64)]
        for columns in index.read_groups(shards.root, split.index, list(TYPES)):
            rows = _rows(split.name, first, columns, shards.class_ids)
            parts.append(query.ids(rows))
            if not first and not np.array_equal(parts[-1], query.ids(rows)):
                raise UsageError(
                    f"--where {condition}: the condition gives different results each time, as random() does. Use "
                    "only columns; for example, crc32 % 100 < 10 selects a tenth of the samples"
                )
            first += len(rows)
        found[split.name] = np.concatenate(parts)
    return found


def _rows(split: str, first: int, columns: dict[str, Any], classes: tuple[str, ...]) -> Any:
    """Return a row group of the index as an Arrow table that has all columns in COLUMNS."""
    count = len(columns["label"])
    names = pa.DictionaryArray.from_arrays(columns["label"], pa.array(classes, pa.string()))
    own = {"split": pa.repeat(split, count), "id": pa.array(np.arange(first, first + count)), "class": names}
    return pa.table(own | {name: columns[name] for name in TYPES})


class _Query:
    """A condition, with a DuckDB database in memory that evaluates the condition."""

    def __init__(self, condition: str) -> None:
        try:
            import duckdb  # noqa: PLC0415  optional
        except ImportError as error:
            raise UsageError(
                '--where needs DuckDB: pip install "headrace[query]". Or list the samples in a file, with --ids'
            ) from error
        self._condition, self._failed = condition, duckdb.Error
        self._database: Any = duckdb.connect(":memory:", config=_CLOSED)
        self._database.execute("SET lock_configuration = true")

    def ids(self, rows: Any) -> NDArray[np.int64]:
        """Return the ids of the rows that meet the condition, int64 (n,), in ascending order."""
        try:
            chosen = self._database.from_arrow(rows).filter(self._condition).project("id").fetchnumpy()["id"]
        except self._failed as error:
            first = str(error).splitlines()[0]
            raise UsageError(
                f"--where {self._condition}: {first}. Give one condition with these columns: {', '.join(COLUMNS)}"
            ) from error
        found: NDArray[np.int64] = np.sort(np.asarray(chosen, np.int64))
        return found
