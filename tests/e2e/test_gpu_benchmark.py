"""The GPU benchmark on a CPU: that every part reaches its end, and that nothing passes for a measurement."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.harness.paths import RESULTS
from tests import warm

PARTS = {
    "machine",
    "correctness",
    "validation",
    "memory",
    "steps",
    "epoch",
    "profile",
    "copies",
    "determinism",
    "ladder",
    "decoder",
    "sizes",
    "ranks",
    "accuracy",
}
DRY = "dry run, no measurement"


def measured(*arguments: str, timeout: float = 280) -> warm.Ended:
    """`python -m benchmarks.gpu` with these arguments."""
    (ended,) = warm.run([warm.Job("benchmarks.gpu", list(arguments), dict(os.environ))], timeout)
    return ended


@pytest.mark.timeout(900)  # seconds where the cores are busy with other work
def test_parts_that_are_named_reach_their_end(tmp_path: Path) -> None:
    """They alone run, on data that are drawn, and have rows."""
    done = measured("--dry", "--in-process", "--parts", "machine,steps", "--out", str(tmp_path / "dry"), timeout=880)
    assert done.code == 0, done.errors
    parts = json.loads((tmp_path / "dry.json").read_text())["parts"]
    assert parts.keys() == {"machine", "steps"}
    assert all(rows for part in parts.values() for rows in part["tables"].values())


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_every_part_reaches_its_end(tmp_path: Path) -> None:
    """The dry run draws its data, runs all parts, and marks each table as no measurement."""
    before = sorted(RESULTS.iterdir())
    done = measured("--dry", "--in-process", "--out", str(tmp_path / "dry"), timeout=880)
    assert done.code == 0, done.errors
    found = json.loads((tmp_path / "dry.json").read_text())
    assert found["result"] == DRY
    assert found["parts"].keys() == PARTS
    for name, part in found["parts"].items():
        assert all(rows for rows in part["tables"].values()), name
    (first_step,) = found["parts"]["correctness"]["tables"]["first step"]
    assert first_step["within"]
    (killed,) = found["parts"]["ranks"]["tables"]["a rank is killed"]
    assert killed["within"], killed
    headings = [line for line in (tmp_path / "dry.md").read_text().splitlines() if line.startswith("#")]
    assert len(headings) > len(PARTS)
    assert all(heading.endswith(f"({DRY})") for heading in headings)
    assert sorted(RESULTS.iterdir()) == before


@pytest.mark.timeout(900)
def test_part_that_fails_says_why(tmp_path: Path) -> None:
    """A part has a process of its own: where it fails, the result has its last words, and the command ends with 1."""
    arguments = [str(tmp_path / "no-set"), "--dry", "--parts", "memory", "--out", str(tmp_path / "dry")]
    assert measured(*arguments, timeout=880).code == 1
    (part,) = json.loads((tmp_path / "dry.json").read_text())["parts"].values()
    assert "no-set" in part["failed"]


def test_dry_run_is_kept_from_the_results(tmp_path: Path) -> None:
    """A dry run refuses to write among the results, and without a GPU nothing but a dry run starts."""
    for arguments in (["--dry"], ["--dry", "--out", str(RESULTS / "gpu-dry")]):
        done = measured(*arguments)
        assert done.code == 2
        assert "outside benchmarks/results" in done.errors
    assert measured(str(tmp_path), "--parts", "no-part").code == 2


def test_what_has_no_time_is_left_out_by_name(tmp_path: Path) -> None:
    """With no second left no part begins, and the result says so for each."""
    done = measured("--dry", "--in-process", "--seconds", "0", "--out", str(tmp_path / "dry"))
    assert done.code == 0, done.errors
    parts = json.loads((tmp_path / "dry.json").read_text())["parts"]
    assert {name: part["tables"] for name, part in parts.items()} == {
        name: {"left out: no time": [{"part": name}]} for name in PARTS
    }
