"""`headrace train --profile`: what the trace of each rank shows, and that it changes nothing of the run."""

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from headrace.train.machine.profile import Part
from tests.e2e.commands import SMALL, headrace

STEPS = 3


def events_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The complete events of a trace by their names."""
    found = defaultdict(list)
    for event in json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]:
        if event.get("ph") == "X":
            found[event["name"]].append(event)
    return found


@pytest.mark.timeout(900)  # seconds where the cores are busy with other work
def test_trace_has_the_parts_of_each_step(tiny_set: Path, tmp_path: Path) -> None:
    """On two ranks, a file each: every part has its name, as often as there are steps, and in its own thread."""
    ended = headrace("train", tiny_set, *SMALL, "--profile", STEPS, "--nproc", 2, "--out", tmp_path / "run")
    assert ended.code == 0, ended.stderr
    assert "ui.perfetto.dev" in ended.stdout
    for rank in range(2):
        events = events_of(tmp_path / "run" / f"trace-rank{rank}.json.gz")
        assert [part for part in Part if not events[part]] == []
        for part in (Part.FORWARD, Part.BACKWARD, Part.UPDATE):
            assert len(events[part]) == STEPS, part  # a group each
        step, *_ = events[Part.FORWARD]
        assert {event["tid"] for event in events[Part.BACKWARD]} == {step["tid"]}
        assert step["tid"] not in {event["tid"] for event in events[Part.DECODE]}
        assert all(event["args"]["collective"] == "gloo:all_reduce" for event in events[Part.REDUCE])


def losses_of(tiny_set: Path, out: Path, *more: str) -> list[Any]:
    """Those of all steps of a run."""
    ended = headrace("train", tiny_set, *SMALL, "--deterministic", "--set=runtime.log_every=1", *more, "--out", out)
    assert ended.code == 0, ended.stderr
    rows = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [row["losses"] for row in rows if row["kind"] == "step"]


@pytest.mark.timeout(900)
def test_profiled_run_is_the_same_run(tiny_set: Path, tmp_path: Path) -> None:
    """Losses of all steps are those of a run that nobody looked at."""
    plain, traced = tmp_path / "plain", tmp_path / "traced"
    losses = losses_of(tiny_set, plain)
    assert losses
    assert losses_of(tiny_set, traced, f"--profile={STEPS}") == losses
    assert [(one / "trace-rank0.json.gz").exists() for one in (plain, traced)] == [False, True]


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_run_that_is_too_short_has_no_trace(tiny_set: Path, tmp_path: Path) -> None:
    """It says so."""
    ended = headrace("train", tiny_set, *SMALL, "--profile", 50, "--out", tmp_path / "short")
    assert ended.code == 0, ended.stderr
    assert not (tmp_path / "short" / "trace-rank0.json.gz").exists()
    assert "no trace" in ended.stdout + ended.stderr
