"""What trials of the doctor are judged by: pure functions, and the lines that outlast a stop."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.doctor.judged import LEAST, MOST, by_kind, draw, judge, keep, kept, predicted, summary, truth
from benchmarks.doctor.slowdowns import KINDS
from benchmarks.doctor.spread import against_itself, against_runs, extent
from benchmarks.harness.tables import Row


def said(resource: str, gain: float, knob: float | None = None, tried: float | None = None) -> dict[str, Any]:
    """What the doctor says, as far as it is judged."""
    setting = {"setting": "runtime.threads=2", "predicted_gain": knob, "tried": tried and {"gain": tried}}
    return {
        "binding": {"resource": resource, "cause": "none", "predicted_gain": gain},
        "knob": None if knob is None else setting,
        "ratio": 0.5,
        "ratios": [0.4, 0.5, 0.6],
    }


def test_draws_are_those_of_seed_and_number() -> None:
    """A trial is the same whether others ran before it or not; all kinds and strengths come."""
    drawn = [draw(7, number, len(KINDS)) for number in range(1, 31)]
    assert [draw(7, number, len(KINDS)) for number in (30, 1)] == [drawn[29], drawn[0]]
    assert drawn != [draw(8, number, len(KINDS)) for number in range(1, 31)]
    many = [draw(seed, 1, len(KINDS)) for seed in range(600)]
    assert all(60 < count < 140 for count in Counter(kind for kind, _ in many).values())
    strengths = [left for _, left in many]
    assert LEAST <= min(strengths) < 0.32
    assert 0.68 < max(strengths) <= MOST


@pytest.mark.parametrize(("gain", "binds"), [(1.5, "storage"), (1.1, "storage"), (1.05, "compute"), (0.9, "compute")])
def test_slow_down_binds_where_its_end_is_a_gain(gain: float, binds: str) -> None:
    """What was made scarce and cost nothing binds nothing."""
    assert truth("storage", gain) == binds


def test_prediction_is_that_of_relief_or_of_the_best_setting() -> None:
    """A step that was made slow is relieved by no setting; there the knob promises something, or nothing does."""
    assert predicted(said("storage", 2.0, 1.2), "storage") == 2.0
    assert predicted(said("compute", 1.0, 1.4), "compute") == 1.4
    assert predicted(said("compute", 1.0), "compute") == 1.0


def test_judgement() -> None:
    """Named right and predicted right are two things."""
    row = judge(said("storage", 2.0), "storage", 2.5, 2.5)
    assert (row["right"], row["within 30 %"], row["off by"], row["tried"]) == (True, True, -0.2, "")
    row = judge(said("prep", 3.0), "storage", 2.0, 2.0)
    assert (row["right"], row["within 30 %"], row["binds"]) == (False, False, "storage")
    row = judge(said("storage", 1.2, 1.5, 1.4), "storage", 1.0, 1.0)
    assert (row["right"], row["binds"], row["knob"], row["tried"]) == (False, "compute", "runtime.threads=2", 1.4)


def test_summary_counts_failures_as_trials() -> None:
    """Three trials, one of which failed."""
    rows: list[Row] = [
        {"slow-down": "disk", **judge(said("storage", 2.0), "storage", 2.5, 2.5)},
        {"slow-down": "disk", "error": "RuntimeError"},
        {"slow-down": "quota", **judge(said("prep", 1.0), "cpu", 2.0, 2.0)},
    ]
    whole = summary(rows)
    assert whole == {
        "trials": 3, "failed": 1, "named right": 1, "predicted within 30 %": 1, "median of the error": 0.35
    }  # fmt: skip
    assert [(row["slow-down"], row["trials"], row["named right"]) for row in by_kind(rows)] == [
        ("disk", 2, 1),
        ("quota", 1, 0),
    ]
    assert summary([])["median of the error"] == ""


def test_lines_outlast_a_stop(tmp_path: Path) -> None:
    """A line that was cut off is no trial, and those of other seeds are others'."""
    lines = tmp_path / "trials.jsonl"
    assert kept(lines, 1) == []
    for seed, trial in ((1, 2), (1, 1), (2, 1)):
        keep(lines, {"seed": seed, "trial": trial})
    with lines.open("a") as file:
        file.write('{"seed": 1, "trial": 3, "slow')
    assert [row["trial"] for row in kept(lines, 1)] == [1, 2]


def visit(real: float, ratio: float, itself: float) -> dict[str, Any]:
    """A visit of the doctor, all of whose turns are alike."""
    return {"real": real, "ratios": [ratio] * 3, "synthetic_against_itself": [itself] * 3}


def test_spread() -> None:
    """From the least to the largest, as a fraction of the median; steady within 3 %, or as R_synth is."""
    assert extent([9.0, 10.0, 12.0]) == pytest.approx(0.3)
    steady = [visit(1, 0.80, 1.0), visit(1, 0.81, 1.0), visit(1, 0.82, 1.0)]
    assert against_itself(steady)["steady"]
    unsteady = [visit(1, 0.80, 1.0), visit(1, 0.90, 1.0), visit(1, 0.95, 1.01)]
    assert not against_itself(unsteady)["steady"]
    assert against_itself([visit(1, 0.80, 0.8), visit(1, 0.90, 1.0), visit(1, 0.95, 1.1)])["steady"]


def test_real_rate_beside_runs() -> None:
    """Pairs within 5 %, and within what runs differ among themselves."""
    row = against_runs([100.0, 110.0, 100.0], [visit(rate, 1, 1) for rate in (104.0, 100.0, 120.0)])
    assert (row["pairs within 5 %"], row["within 5 % or the runs' spread"], row["spread of the runs"]) == (1, 2, 0.1)
