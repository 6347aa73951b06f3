"""Writes predictions for images as CSV, JSON or Parquet, with one row for each image and predicted label.

The column `rank` numbers the labels of an image from 1, the most likely first. An image that cannot be read has one
row, with the reason in the column `error`. This module works without torch.
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
"""The largest number of answers that are kept for the picture that --sheet writes."""
COLUMNS = ("file", "rank", "label", "class", "name", "probability", "error")
_TYPES = (pa.string(), pa.int64(), pa.int64(), pa.string(), pa.string(), pa.float32(), pa.string())


class Answer(NamedTuple):
    """The answer for one image: its most likely labels with their probabilities, or the reason why it has none."""

    file: str
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    error: str = ""

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of this image, with values in the order of COLUMNS; a missing value is None."""
        if self.error:
            yield self.file, None, None, None, None, None, self.error
        columns = (self.labels, self.classes, self.names, self.probabilities)
        for rank, row in enumerate(zip(*columns, strict=True), 1):
            yield self.file, rank, *row, None


class Table(Protocol):
    """Turns answers (the predictions for images) into the bytes of a file, part by part."""

    def begin(self) -> bytes:
        """Return the bytes of the file that come before the first answer."""

    def add(self, answer: Answer) -> bytes:
        """Return the bytes that add an answer to the file."""

    def end(self) -> bytes:
        """Return the bytes of the file that come after the last answer."""


def table_of(kind: str) -> Table:
    """Return a new table of the kind "csv", "json" or "parquet"."""
    kinds: dict[str, type[Table]] = {"csv": CsvTable, "json": JsonTable, "parquet": ParquetTable}
    return kinds[kind]()


class CsvTable:
    """Turns answers into CSV: a header line with the names of the columns, then one line for each row."""

    def begin(self) -> bytes:
        """Return the header line."""
        return _line(COLUMNS)

    def add(self, answer: Answer) -> bytes:
        """Return the lines of an answer; characters that cannot be printed are escaped."""
        return b"".join(_line([_told(value) for value in row]) for row in answer.rows())

    def end(self) -> bytes:
        """Return nothing: a CSV file ends with its last row."""
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
    """Turns answers into JSON: an array with one object for each row, each on its own line."""

    def __init__(self) -> None:
        self._between = "\n"

    def begin(self) -> bytes:
        """Return the opening bracket of the array."""
        return b"["

    def add(self, answer: Answer) -> bytes:
        """Return the objects of an answer, with a comma before each except the first of the file."""
        text = ""
        for row in answer.rows():
            text += self._between + json.dumps(dict(zip(COLUMNS, row, strict=True)))
            self._between = ",\n"
        return text.encode()

    def end(self) -> bytes:
        """Return the closing bracket of the array."""
        return b"\n]\n"


class ParquetTable:
    """Turns answers into Parquet, with typed columns; the whole file is made after the last answer."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def begin(self) -> bytes:
        """Return nothing, because the whole file is made after the last answer."""
        return b""

    def add(self, answer: Answer) -> bytes:
        """Remember the rows of an answer; return nothing."""
        self._rows += [tuple(printable(one) if isinstance(one, str) else one for one in row) for row in answer.rows()]
        return b""

    def end(self) -> bytes:
        """Return the whole file."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(COLUMNS)
        made = {name: pa.array(column, kind) for name, column, kind in zip(COLUMNS, columns, _TYPES, strict=True)}
        out = io.BytesIO()
        pq.write_table(pa.table(made), out, compression="zstd")
        return out.getvalue()


class Writing:
    """Writes a table of answers, one answer with each call. At the end of the context, the table is completed.

    `put` is called with the bytes of each part of the table, and `report` with the number of answers so far. `first`
    holds the first answers, at most KEPT; `unreadable` counts the answers with an error.
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
        """Return the bytes that begin the table if no answer has been written yet, otherwise nothing.

        These bytes are written together with the first answer, so an error before the first answer leaves no table at
        all.
        """
        return b"" if self._count else self._table.begin()
