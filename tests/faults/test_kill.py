import os
import random
import signal
import time
from pathlib import Path

import pytest

from headrace.train.checkpoint import files
from tests.faults.runs import STEPS, arguments, assert_same_run, here, running, steps_done, wait_for

EPOCHS = 7


def kill_and_resume(given: list[str], out: Path, targets: list[int], draw: random.Random) -> None:
    """Kill the run at a random moment after each of these steps, and let the same command go on; then to the end."""
    for target in targets:
        with running([*given, "--resume", "auto"]) as process:
            wait_for(out, target, process)
            time.sleep(draw.uniform(0, 0.3))
            os.killpg(process.pid, signal.SIGKILL)
    with running([*given, "--resume", "auto"]) as process:
        output, errors = process.communicate(timeout=250)
        assert process.returncode == 0, output + errors


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_killed_and_resumed(tiny_set: Path, undisturbed: Path, tmp_path: Path, times: int) -> None:
    """A run killed by SIGKILL at random moments and resumed each time ends with the same bits, and rows."""
    out, draw = tmp_path / "run", random.Random(7)
    kill_and_resume(arguments(tiny_set, out), out, sorted(draw.sample(range(1, STEPS), times)), draw)
    assert_same_run(undisturbed, out)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_killed_thirty_times(tiny_set: Path, tmp_path: Path) -> None:
    """A run killed by SIGKILL at thirty random moments ends with the bits of one that nothing disturbed."""
    whole, out, draw = tmp_path / "whole", tmp_path / "run", random.Random(8)
    result = here(*arguments(tiny_set, whole, train__epochs=EPOCHS))
    assert result.exit_code == 0, result.output
    targets = sorted(draw.sample(range(1, EPOCHS * STEPS), 30))
    kill_and_resume(arguments(tiny_set, out, train__epochs=EPOCHS), out, targets, draw)
    assert_same_run(whole, out)


@pytest.mark.faults
def test_killed_run_loses_at_most_the_interval(tiny_set: Path, tmp_path: Path) -> None:
    """What SIGKILL costs is what came after the last checkpoint: fewer steps than lie between two."""
    out = tmp_path / "run"
    with running(arguments(tiny_set, out)) as process:
        wait_for(out, 5, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    (state, _, _), damaged = files.newest(out)
    assert damaged == []
    assert steps_done(out) - state["progress"]["step"] <= 2
