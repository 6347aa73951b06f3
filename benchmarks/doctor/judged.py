"""What a trial shows: pure functions of what was drawn, what the doctor said and what was measured."""

import json
import random
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.tables import Row

LEAST, MOST = 0.3, 0.7  # of the rate that is left
CLOSE = 0.3  # a prediction is right within this share of the measured gain
WORTH = 1.1  # the least gain that counts as that of something which binds


def draw(seed: int, number: int, kinds: int) -> tuple[int, float]:
    """Which kind of slow-down a trial has, and the share of the rate that shall be left. No trial changes another's."""
    draws = random.Random(f"{seed} {number}")
    return draws.randrange(kinds), round(draws.uniform(LEAST, MOST), 3)


def truth(expected: str, gain: float) -> str:
    """What binds: the resource that was made scarce, if taking the slow-down alone away gives a gain; else the step."""
    return expected if gain >= WORTH else "compute"


def predicted(found: dict[str, Any], expected: str) -> float:
    """The gain that the doctor promises: of relief or, where the step itself was made slow, of the best setting."""
    knob = found["knob"]
    if expected == "compute":
        return float(knob["predicted_gain"]) if knob else 1.0
    return float(found["binding"]["predicted_gain"])


def judge(found: dict[str, Any], expected: str, removed: float, relieved: float) -> Row:
    """The row of a trial.

    `removed` is the gain without the slow-down, `relieved` that which the prediction is about; they differ only where
    the step itself was made slow, as no setting of the input takes that away.
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
    """How many were right. A trial that failed is none of them."""
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
    """Add a trial to those on the disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def kept(path: Path, seed: int) -> list[Row]:
    """The trials of this seed that are on the disk; a line that a stop cut off is no trial."""
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
