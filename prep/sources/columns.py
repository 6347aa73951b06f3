"""Finds the columns for path, label and split in a table of images, by the usual headers or as --columns says."""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from headrace.prep.command.options import Options
from headrace.shards.errors import DataError, UsageError
from headrace.shards.urls import Location

_HEADERS = {  # the usual headers; if a table has several of them, the first one in this order is used
    "path": (
        *("path", "filepath", "file_path", "filename", "file_name", "file", "image_path", "img_path", "image", "img"),
        *("image_file", "image_name"),
    ),
    "label": (
        *("label", "class", "class_name", "classname", "label_name", "category", "target", "y"),
        *("class_id", "label_id", "category_id"),
    ),
    "split": ("split", "subset", "set", "partition"),
    "bytes": ("bytes", "size", "file_size", "filesize"),
}
_NEEDED = ("path", "label")
_UNUSED = "-"  # stands in --columns for a column that is not used


class MissingColumnError(DataError):
    """No column of a table has the required header."""


class Columns(NamedTuple):
    """The headers of the columns that are used, as written in the table."""

    path: str
    label: str
    split: str | None
    bytes: str | None = None
    """The header of the column with file sizes in bytes, which is used for files at URLs."""


def has_header(options: Options) -> bool:
    """Whether the first line of a listing has the headers; False if --columns lists the columns in order."""
    return options.columns is None or "=" in options.columns


def in_order(options: Options) -> list[str]:
    """The columns of a listing without a header, in order. Raises UsageError if --columns is invalid."""
    words = [word.strip().lower() for word in (options.columns or "").split(",")]
    used = [word for word in words if word != _UNUSED]
    if len(set(used)) < len(used) or not set(_NEEDED) <= set(used) <= set(_HEADERS):
        raise _senseless(options)
    return [word if word != _UNUSED else f"{_UNUSED}{place}" for place, word in enumerate(words)]


def find_columns(where: Location, headers: list[str], options: Options) -> Columns:
    """Find the columns of a table by its headers.

    Raises MissingColumnError if the column for path or label is missing.
    """
    path, label, split, size = (find_column(what, where, headers, options) for what in _HEADERS)
    return Columns(str(path), str(label), split, size)


def find_column(what: str, where: Location, headers: list[str], options: Options) -> str | None:
    """The header of the column for `what`, such as "path"; None if there is no such column and none is required.

    Raises MissingColumnError if the column is required: for "path", "label", and columns that --columns names.
    """
    by_name = {name.strip().lower(): name for name in reversed(headers)}
    chosen = _chosen(options) if options.columns is not None and has_header(options) else {}
    asked = (chosen[what],) if what in chosen else _HEADERS[what]
    header = next((by_name[name] for name in asked if name in by_name), None)
    if header is None and (what in _NEEDED or what in chosen):
        raise MissingColumnError(
            f"{where}: its columns are {', '.join(headers[:20]) or 'none'}; none of them is the {what} "
            f"({', '.join(asked)}). Rename a column, or give the headers with --columns path=HEADER,label=HEADER; "
            "for a listing without a header, give --columns path,label"
        )
    return header


def _chosen(options: Options) -> dict[str, str]:
    """The header of each column in `--columns path=HEADER,label=HEADER`, in lower case.

    Raises UsageError if --columns is invalid.
    """
    pairs = [pair.partition("=") for pair in (options.columns or "").split(",")]
    chosen = {what.strip().lower(): header.strip().lower() for what, _, header in pairs}
    if not set(chosen) <= set(_HEADERS) or not all(chosen.values()) or len(chosen) < len(pairs):
        raise _senseless(options)
    return chosen


def _senseless(options: Options) -> UsageError:
    return UsageError(
        f"--columns {options.columns}: for a listing with a header, give headers, such as path=image,label=species. "
        "For a listing without a header, give its columns in order, such as path,label,split, with - for columns that "
        "are not used"
    )


def rows_of_csv(lines: Iterable[str], where: Location, options: Options) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line number and the cells of each row of a CSV.

    The cells have the keys path and label, and also split and bytes if the CSV has such columns.
    """
    if has_header(options):
        table = csv.DictReader(lines, strict=True)
        columns = find_columns(where, list(table.fieldnames or ()), options)
        first = 2
    else:
        table = csv.DictReader(lines, in_order(options), strict=True)
        more = (word if word in in_order(options) else None for word in ("split", "bytes"))
        columns, first = Columns("path", "label", *more), 1
    for number, row in enumerate(table, first):
        yield number, cells(row, columns)


def rows_of_jsonl(lines: Iterable[str], where: Location, options: Options) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line number and the cells of each line of a JSON lines file, with keys as in `rows_of_csv`."""
    columns: Columns | None = None
    for number, row in objects_of(lines, where):
        columns = columns or find_columns(where, list(row), options)
        yield number, cells(row, columns)


def objects_of(lines: Iterable[str], where: Location) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line number and the object of each non-empty line of a JSON lines file.

    Raises DataError for a line that is not a JSON object.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: line {number} is not JSON ({error}). Correct it and try again") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: line {number} is not a JSON object with a file and a label. Correct it")
        yield number, row


def cells(row: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """The cells of a row with the keys path and label, and also split and bytes if the table has such columns."""
    found = {"path": row.get(columns.path), "label": row.get(columns.label)}
    return found | {
        name: row.get(header)
        for name, header in (("split", columns.split), ("bytes", columns.bytes))
        if header is not None
    }


def text_of(value: object) -> str:
    """A cell as text; "" if the cell is empty. Bytes, which some programs write instead of text, must be UTF-8."""
    if value is None or value != value:  # noqa: PLR0124  NaN, which also means an empty cell
        return ""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
