"""Converts rows of metrics.jsonl and epochs.csv to text, and parses them."""

import csv
import io
import json
import math
from collections.abc import Iterable
from typing import Any

from headrace.train.record.epoch import EPOCH_FIELDS


def json_line(row: dict[str, Any]) -> str:
    """Return a row as one line of JSON, with its line ending."""
    return json.dumps(plain(row), allow_nan=False) + "\n"


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with only values that JSON allows: NaN and infinities become None."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def parse(line: str) -> dict[str, Any] | None:
    """Parse a line of metrics.jsonl; return its row, or None if the line is damaged."""
    try:
        row = json.loads(line)
        json.dumps(row, allow_nan=False)
    except (ValueError, RecursionError):  # not JSON, NaN, numbers of thousands of digits, deep nesting
        return None
    return row if isinstance(row, dict) and _is_sound(row) else None


class Newest:
    """Finds stale rows: those that an old attempt (a process of the run) added after a newer attempt had begun."""

    def __init__(self) -> None:
        self._attempt = 0

    def is_stale(self, row: dict[str, Any]) -> bool:
        """Return whether `row`, the next row of the file, comes from an earlier attempt than a row before it."""
        attempt = row.get("attempt", 0)
        number = attempt if type(attempt) is int else 0
        self._attempt = max(self._attempt, number)
        return number < self._attempt


def without_stale(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a file in order, without stale rows."""
    newest = Newest()
    return [row for row in rows if not newest.is_stale(row)]


def _is_sound(row: dict[str, Any]) -> bool:
    """Return whether a row has the required fields and, if its kind is "epoch", all figures of an epoch."""
    counts = (row.get("step"), row.get("epoch", 0))
    figures = [row.get(key, "") for key in EPOCH_FIELDS] if row.get("kind") == "epoch" else []
    return (
        isinstance(row.get("kind"), str)
        and all(type(count) is int for count in counts)
        and all(value is None or type(value) in (int, float) for value in figures)
    )


def csv_text(rows: list[dict[str, Any]], *, header: bool = True) -> str:
    """Return the rows of epochs as CSV, below a header line if `header`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, EPOCH_FIELDS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
