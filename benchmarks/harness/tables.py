"""Makes the rows of a result: medians with their spread, ratios pair by pair, and Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.harness.processes import Run

Row = dict[str, Any]


def rate_rows(runs: Mapping[str, Sequence[Run]], first: str) -> list[Row]:
    """A row for each contender: median and spread of images/s, CPU time per image, ratio to `first` pair by pair."""
    rows = []
    for name, own in runs.items():
        rates = [run["images_per_second"] for run in own]
        row = {"contender": name, "n": len(rates), **spread("images/s", rates, 0)}
        row["CPU microseconds an image"] = round(median(run["cpu_microseconds"] for run in own), 1)
        rows.append({**row, **spread(f"ratio to {first}", list(ratios(own, runs[first])), 3, "ratio, min to max")})
    return rows


def seconds_rows(runs: Sequence[Run]) -> list[Row]:
    """A row for each part: median and spread of its seconds."""
    return [{"part": part, "n": len(runs), **spread("seconds", [run[part] for run in runs], 3)} for part in runs[0]]


def ratios(runs: Sequence[Run], others: Sequence[Run]) -> Iterator[float]:
    """The rate of each run divided by the rate of the other contender's run in the same repetition."""
    for run, other in zip(runs, others, strict=True):
        yield run["images_per_second"] / other["images_per_second"]


def spread(name: str, values: Sequence[float], digits: int, extent: str = "min to max") -> Row:
    """Two columns: the median, and the range from the least to the largest value."""
    middle = round(median(values), digits) if digits else round(median(values))
    return {f"{name}, median": middle, extent: f"{min(values):.{digits}f} to {max(values):.{digits}f}"}


def turned(rows: Mapping[str, Row], head: str) -> list[Row]:
    """The transposed table: a row for each column, and a column for each row. `head` is the header of the names."""
    columns = dict.fromkeys(column for row in rows.values() for column in row)
    return [{head: column, **{name: row.get(column, "") for name, row in rows.items()}} for column in columns]


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; cells of columns that a row does not have are empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(
        [*lines, *("| " + " | ".join(str(row.get(column, "")) for column in columns) + " |" for row in rows)]
    )
