"""Rows of metrics.jsonl and epochs.csv as text, and back."""

import csv
import io
import json
import math
from typing import Any

from headrace.train.record.epoch import EPOCH_FIELDS


def json_line(row: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(plain(row), allow_nan=False) + "\n"


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row as JSON can have it, which knows no NaN: what is not a number becomes none."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def parse(line: str) -> dict[str, Any] | None:
    """The row in a line; None where it is damaged."""
    try:
        row = json.loads(line)
        json.dumps(row, allow_nan=False)
    except (ValueError, RecursionError):  # no JSON, numbers that are none or have thousands of digits, deep brackets
        return None
    return row if isinstance(row, dict) and _is_sound(row) else None


def _is_sound(row: dict[str, Any]) -> bool:
    """Whether a row has what every one has, and one of an epoch all its figures."""
    counts = (row.get("step"), row.get("epoch", 0))
    figures = [row.get(key, "") for key in EPOCH_FIELDS] if row.get("kind") == "epoch" else []
    return (
        isinstance(row.get("kind"), str)
        and all(type(count) is int for count in counts)
        and all(value is None or type(value) in (int, float) for value in figures)
    )


def csv_text(rows: list[dict[str, Any]], *, header: bool = True) -> str:
    """Rows of epochs as CSV, below the names of the columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, EPOCH_FIELDS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
