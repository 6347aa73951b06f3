"""What was predicted for images, as CSV, JSON or Parquet: one row for each image and rank. Without torch.

An image that cannot be read has one row, with the reason in its column `error`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.shards.printable import printable

KEPT = 60
"""Answers that are kept to be looked at."""
COLUMNS = ("file", "rank", "label", "class", "name", "probability", "error")
_TYPES = (pa.string(), pa.int64(), pa.int64(), pa.string(), pa.string(), pa.float32(), pa.string())


class Answer(NamedTuple):
    """What was predicted for one image: its likeliest labels with their probabilities; or why it has none."""

    file: str
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    error: str = ""

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Its rows, in the order of COLUMNS; None for what it does not have."""
        if self.error:
            yield self.file, None, None, None, None, None, self.error
        columns = (self.labels, self.classes, self.names, self.probabilities)
        for rank, row in enumerate(zip(*columns, strict=True), 1):
            yield self.file, rank, *row, None


class Table(Protocol):
    """Answers as the text or bytes of a file, part by part."""

    def begin(self) -> bytes:
        """What stands before the first answer."""

    def add(self, answer: Answer) -> bytes:
        """What an answer adds."""

    def end(self) -> bytes:
        """What stands after the last."""


def table_of(kind: str) -> Table:
    """The table called "csv", "json" or "parquet"."""
    kinds: dict[str, type[Table]] = {"csv": CsvTable, "json": JsonTable, "parquet": ParquetTable}
    return kinds[kind]()


class CsvTable:
    """A line a row, below the names of the columns."""

    def begin(self) -> bytes:
        """The names."""
        return _line(COLUMNS)

    def add(self, answer: Answer) -> bytes:
        """The lines of an answer; foreign characters that do not print are escaped."""
        return b"".join(_line([_told(value) for value in row]) for row in answer.rows())

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _told(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else printable(str(value))


def _line(values: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue().encode()


class JsonTable:
    """An array with an object a row, each on its own line."""

    def __init__(self) -> None:
        self._between = "\n"

    def begin(self) -> bytes:
        """The bracket."""
        return b"["

    def add(self, answer: Answer) -> bytes:
        """The objects of an answer."""
        text = ""
        for row in answer.rows():
            text += self._between + json.dumps(dict(zip(COLUMNS, row, strict=True)))
            self._between = ",\n"
        return text.encode()

    def end(self) -> bytes:
        """The other bracket."""
        return b"\n]\n"


class ParquetTable:
    """Columns with types; the whole file comes at the end."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def begin(self) -> bytes:
        """Nothing yet."""
        return b""

    def add(self, answer: Answer) -> bytes:
        """Nothing yet."""
        self._rows += [tuple(printable(one) if isinstance(one, str) else one for one in row) for row in answer.rows()]
        return b""

    def end(self) -> bytes:
        """The file."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(COLUMNS)
        made = {name: pa.array(column, kind) for name, column, kind in zip(COLUMNS, columns, _TYPES, strict=True)}
        out = io.BytesIO()
        pq.write_table(pa.table(made), out, compression="zstd")
        return out.getvalue()


class Writing:
    """Writes answers as they come: a context. `first` are the first of them, `unreadable` counts those with an error.

    `put` takes each part of the table, `report` the number of answers so far.
    """

    def __init__(self, table: Table, put: Callable[[bytes], object], report: Callable[[int], None]) -> None:
        self.first: list[Answer] = []
        self.unreadable = 0
        self._table, self._put, self._report = table, put, report
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, answer: Answer) -> None:
        """Write one answer."""
        self._put(self._begin() + self._table.add(answer))
        self.unreadable += bool(answer.error)
        self._count += 1
        if self._count <= KEPT:
            self.first.append(answer)
        self._report(self._count)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._put(self._begin() + self._table.end())

    def _begin(self) -> bytes:
        """The table's head, once: where there is an error before any answer, there is no table."""
        return b"" if self._count else self._table.begin()
