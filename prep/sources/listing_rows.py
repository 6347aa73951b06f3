"""Reads and checks the rows of a listing one by one: CSV, JSON lines or Parquet."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.prep.command.options import Options
from headrace.prep.sources.columns import cells, find_columns, rows_of_csv, rows_of_jsonl, text_of
from headrace.shards.errors import DataError
from headrace.shards.open_files import refuse_limit
from headrace.shards.urls import Location, without_secrets

SPLIT = re.compile("[a-z][a-z0-9_-]{0,31}")  # the names that a manifest allows for a split
_ROWS = 4096  # rows of a Parquet file in memory at a time


class Item(NamedTuple):
    """A row of a listing."""

    number: int
    path: str
    label: str
    split: str
    bytes: str = ""


_Rows = Iterable[tuple[int, dict[str, Any]]]


def rows_of(root: Location, at: Path, options: Options) -> Iterator[Item]:
    """The checked rows of the listing `root`, read from the file `at`.

    Raises DataError for an invalid row. A path that occurs twice is noticed here only in adjacent rows; other
    duplicates are noticed when the rows are sorted.
    """
    read = _parquet if root.name.lower().endswith(".parquet") else _text_file
    before = None
    for item in read(root, at, options):
        if before is not None and before.path == item.path:  # other duplicates are found when rows are sorted
            raise wrong_row(root, item.number, item.path, "occurs twice")
        before = item
        yield item
    if before is None:
        raise _no_images(root)


def _text_file(root: Location, at: Path, options: Options) -> Iterator[Item]:
    rows = rows_of_jsonl if root.name.lower().endswith(".jsonl") else rows_of_csv
    try:
        with at.open(encoding="utf-8-sig", newline="") as stream:
            yield from _checked(root, rows(stream, root, options))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{root}: not a CSV or JSON lines file in UTF-8 ({error}). Correct it and try again") from error


def _parquet(root: Location, at: Path, options: Options) -> Iterator[Item]:
    try:
        with pq.ParquetFile(at, page_checksum_verification=True, pre_buffer=False) as file:
            yield from _checked(root, enumerate(_parquet_rows(root, file, options), start=1))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError):
            refuse_limit(error)
        raise DataError(f"{root}: not a sound Parquet file ({error}). Get it again") from error


def _parquet_rows(root: Location, file: pq.ParquetFile, options: Options) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, with a few thousand rows in memory at a time.

    The number of rows in memory is limited, because a few bytes can encode millions of equal rows.
    """
    columns = find_columns(root, file.schema_arrow.names, options)
    names = [name for name in columns if name is not None]
    for batch in file.iter_batches(_ROWS, columns=names, use_threads=False):
        for row in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
            yield cells(dict(zip(names, row, strict=True)), columns)


def items_of(root: Location, rows: _Rows) -> list[tuple[str, str, str]]:
    """The path, the label and the split of each row, checked. Raises DataError if a path occurs twice."""
    items: dict[str, tuple[str, str, str]] = {}
    texts: dict[str, str] = {}  # one copy of each label is kept
    for one in _checked(root, rows):
        if one.path in items:
            raise wrong_row(root, one.number, one.path, "occurs twice")
        items[one.path] = (one.path, texts.setdefault(one.label, one.label), one.split)
    if not items:
        raise _no_images(root)
    return list(items.values())


def _checked(root: Location, rows: _Rows) -> Iterator[Item]:
    """Yield each row after checking it. Raises DataError for an invalid row."""
    for number, row in rows:
        try:
            path, label, split = (text_of(row.get(name, "train")).strip() for name in ("path", "label", "split"))
        except UnicodeDecodeError as error:
            raise DataError(f"{root}: row {number}: {error.object[:40]!r} is not UTF-8. Correct the listing") from error
        split = split.lower()
        if not path.isprintable():
            raise wrong_row(root, number, path, "has unprintable characters")
        if not path or not label or not SPLIT.fullmatch(split):
            raise wrong_row(root, number, path, "the row needs a path, a label, and a split such as train, val or test")
        size = row.get("bytes")
        yield Item(number, path, label, split, "" if size is None else str(size))


def wrong_row(root: Location, number: int, path: str, why: str) -> DataError:
    """The error for a row that cannot be used."""
    return DataError(
        f"{root}: row {number} ({ascii(without_secrets(path))[1:-1] or 'no path'}): {why}. Correct the listing"
    )


def _no_images(root: Location) -> DataError:
    return DataError(f"{root}: it lists no images, but a listing needs at least one row")
