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


@pytest.mark.timeout(900)
def test_profiled_run_is_the_same_run(tiny_set: Path, tmp_path: Path) -> None:
    """Losses of all steps are those of a run that nobody looked at; one that is too short has no trace and says so."""
    losses = []
    for name, more in (("plain", ()), ("traced", ("--profile", STEPS)), ("short", ("--profile", 50))):
        arguments = (*SMALL, "--deterministic", "--set=runtime.log_every=1", *more)
        ended = headrace("train", tiny_set, *arguments, "--out", tmp_path / name)
        assert ended.code == 0, ended.stderr
        rows = map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
        losses.append([row["losses"] for row in rows if row["kind"] == "step"])
        assert (tmp_path / name / "trace-rank0.json.gz").exists() == (name == "traced")
        assert ("no trace" in ended.stdout + ended.stderr) == (name == "short")
    assert losses[0]
    assert losses[0] == losses[1] == losses[2]
