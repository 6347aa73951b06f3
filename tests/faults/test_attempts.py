"""Two commands on one run folder where no lock works: never two writers, and a stale one is never believed."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from headrace.train.checkpoint import files
from tests.faults.runs import arguments, assert_same_run, running, wait_for

pytestmark = pytest.mark.faults
SILENCE = 5.0


def wait_until_frozen(process: int, seconds: float = 120) -> None:
    """Wait until a process is stopped."""
    end = time.monotonic() + seconds
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < end
        time.sleep(0.05)


def test_frozen_writer_that_comes_back_changes_nothing(tiny_set: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Stopped between its look and its rename, a writer counts as dead: a second command takes over and ends the run.

    When the first one goes on, it ends with exit code 1; weights, metrics, links and the newest checkpoint are the
    second one's.
    """
    out = tmp_path / "run"
    given, frozen = arguments(tiny_set, out, "--resume", "auto"), {"what": "freeze", "step": 6, "lockless": SILENCE}
    with running(given, fault=frozen) as first:
        wait_for(out, 6, first)
        wait_until_frozen(first.pid)
        with running(given, fault={"what": "slow", "seconds": 0, "lockless": SILENCE}) as second:
            output, errors = second.communicate(timeout=250)
        assert second.returncode == 0, output + errors
        assert f"waiting {SILENCE:.0f} s for a sign of life" in output
        os.kill(first.pid, signal.SIGCONT)
        _, errors = first.communicate(timeout=120)
    assert first.returncode == 1
    assert "attempt 1 of this run was taken for dead" in errors
    assert_same_run(undisturbed, out)
    newest = files.newest(out).stored.path.resolve()
    assert "-000002-" in newest.name
    assert (out / "last.pt").resolve() == (out / "best.pt").resolve() == newest
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {row["attempt"] for row in rows if row["step"] > 6} == {2}


def test_second_command_sees_that_the_first_lives(tiny_set: Path, tmp_path: Path) -> None:
    """Where no lock works, a second command on a folder that is being written ends with exit code 1, in a line."""
    out = tmp_path / "run"
    with running(arguments(tiny_set, out), fault={"what": "slow", "seconds": 1, "lockless": SILENCE}) as first:
        wait_for(out, 2, first)
        given = arguments(tiny_set, out, "--resume", "auto")
        with running(given, fault={"what": "slow", "seconds": 0, "lockless": SILENCE}) as second:
            _, errors = second.communicate(timeout=120)
        assert (second.returncode, len(errors.splitlines())) == (1, 1), errors
        assert "another headrace command is writing it now" in errors
        assert first.poll() is None
