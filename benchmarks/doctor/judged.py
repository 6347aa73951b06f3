"""Judges trials: pure functions of the drawn slow-down, the doctor's answer and the measurements."""

import json
import random
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.tables import Row

LEAST, MOST = 0.3, 0.7  # bounds of the share of the rate that remains
CLOSE = 0.3  # a prediction is right if it differs by at most this share of the measured gain
WORTH = 1.1  # the least gain for which the removed slow-down counts as the bottleneck


def draw(seed: int, number: int, kinds: int) -> tuple[int, float]:
    """The kind of slow-down of a trial, and the share of the rate that should remain; independent of other trials."""
    draws = random.Random(f"{seed} {number}")
    return draws.randrange(kinds), round(draws.uniform(LEAST, MOST), 3)


def truth(expected: str, gain: float) -> str:
    """The actual bottleneck: the scarce resource if removing the slow-down gives a gain, otherwise the step."""
    return expected if gain >= WORTH else "compute"


def predicted(found: dict[str, Any], expected: str) -> float:
    """The gain that the doctor predicts: of relief or, if the step itself was slowed down, of the best setting."""
    knob = found["knob"]
    if expected == "compute":
        return float(knob["predicted_gain"]) if knob else 1.0
    return float(found["binding"]["predicted_gain"])


def judge(found: dict[str, Any], expected: str, removed: float, relieved: float) -> Row:
    """The row of a trial.

    `removed` is the gain without the slow-down, and `relieved` the gain to which the prediction refers. They differ
    only if the step itself was slowed down, because no setting of the input removes that.
    """
    real, named, gain = truth(expected, removed), found["binding"]["resource"], predicted(found, expected)
    tried = found["knob"] and found["knob"]["tried"]
    return {
        "binds": real,
        "named": named,
        "cause": found["binding"]["cause"],
        "right": named == real,
        "without the slow-down": round(removed, 3),
        "predicted gain": round(gain, 3),
        "measured gain": round(relieved, 3),
        "off by": round(gain / relieved - 1, 3),
        "within 30 %": abs(gain / relieved - 1) <= CLOSE,
        "ratio": round(found["ratio"], 3),
        "ratio, min to max": f"{min(found['ratios']):.3f} to {max(found['ratios']):.3f}",
        "knob": found["knob"]["setting"] if found["knob"] else "",
        "tried": round(tried["gain"], 3) if tried else "",
    }


def summary(rows: list[Row]) -> Row:
    """The number of trials with right answers. A failed trial counts as wrong."""
    judged = [row for row in rows if "right" in row]
    return {
        "trials": len(rows),
        "failed": len(rows) - len(judged),
        "named right": sum(row["right"] for row in judged),
        "predicted within 30 %": sum(row["within 30 %"] for row in judged),
        "median of the error": round(median(abs(row["off by"]) for row in judged), 3) if judged else "",
    }


def by_kind(rows: list[Row]) -> list[Row]:
    """A summary for each kind of slow-down."""
    kinds = dict.fromkeys(row["slow-down"] for row in rows)
    return [{"slow-down": kind, **summary([row for row in rows if row["slow-down"] == kind])} for kind in kinds]


def keep(path: Path, row: Row) -> None:
    """Append a trial to the file of trials."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def kept(path: Path, seed: int) -> list[Row]:
    """The trials of this seed in the file; incomplete lines of interrupted runs are ignored."""
    if not path.exists():
        return []
    rows: dict[int, Row] = {}
    for line in path.read_text("utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["seed"] == seed:
            rows[row["trial"]] = row
    return [rows[number] for number in sorted(rows)]
