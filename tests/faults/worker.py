"""The `headrace` command with a narrow EfficientNet, and with a fault to come where FAULT describes one.

FAULT is JSON: {"what": "kill" | "raise" | "refuse" | "hang" | "slow", "step": STEP, "rank": RANK, "seconds": SECONDS}.
It strikes when the rank begins the step, and only before the launcher's first restart. "slow" strikes at every step,
also after restarts, until there is a file "until". "freeze" stops the process when it has looked for a later attempt,
before it publishes the checkpoint of the step. With "lockless" no file can be locked, as on some network disks, and an
attempt counts as dead after so many seconds. "busy" has each long part of a run compute for so many seconds more, and
note it in a file "notes"; with any other fault the steps and saves of rank 0 are noted there.
"""

import errno
import fcntl
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headrace import cli
from headrace.shards.errors import DataError
from headrace.train.checkpoint import files
from headrace.train.evaluate import trained
from headrace.train.machine import launch
from headrace.train.model.build import build_model
from headrace.train.record import attempts
from headrace.train.record.attempts import Attempt
from headrace.train.run import assemble
from headrace.train.step.update import TrainStep
from tests.faults.busy import make_busy
from tests.faults.notes import note_work
from tests.train.networks import NARROW, Shape


def narrow(patch: pytest.MonkeyPatch, shape: Shape = NARROW) -> None:
    """Have all runs of this process build a network of this shape, which is fast to train."""
    for module in (assemble, trained):
        patch.setattr(module, "build_model", partial(build_model, **shape))


def start_ranks_here(patch: pytest.MonkeyPatch, script: str = __file__) -> None:
    """Have --nproc start its ranks with this script, or another: they are narrow too, and the fault can strike one."""
    start = launch.launch
    patch.setattr(launch, "launch", lambda processes, given, told: start(processes, (script, *given[3:]), told))


def arm(fault: dict[str, Any]) -> None:
    """Let the fault strike in its step, if this is its rank."""
    if fault["what"] == "freeze":
        freeze_before_publishing(fault["step"])
        return
    mine = fault.get("rank", 0) == int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))
    slow = fault["what"] == "slow"
    if not mine or (int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0 and not slow):
        return
    update = TrainStep.__call__

    def faulty(self: TrainStep, number: int, *rest: Any) -> None:
        if number == fault.get("step") or (slow and not Path(fault.get("until", "")).is_file()):
            strike(fault)
        update(self, number, *rest)

    TrainStep.__call__ = faulty  # type: ignore[method-assign, assignment]


def freeze_before_publishing(step: int) -> None:
    """Stop this process between the look for a later attempt and the rename of the checkpoint of this step."""
    save, look, frozen = files.save, Attempt.look, [False]

    def saving(run: Any, state: Any, number: int, **rest: Any) -> files.Written:
        frozen[0] = number == step
        return save(run, state, number, **rest)

    def looking(self: Attempt) -> None:
        look(self)
        if frozen[0]:
            frozen[0] = False
            os.kill(os.getpid(), signal.SIGSTOP)

    files.save, Attempt.look = saving, looking  # type: ignore[method-assign, assignment]


def take_locks_away(patch: pytest.MonkeyPatch, silence: float) -> None:
    """Have no file be locked, and an attempt be dead after so many seconds of silence, of which it beats ten times."""

    def refusing(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    patch.setattr(fcntl, "flock", refusing)
    patch.setattr(attempts, "_SILENT_SECONDS", silence)
    patch.setattr(attempts, "_BEAT_SECONDS", silence / 10)


def strike(fault: dict[str, Any]) -> None:
    """Do what the fault says."""
    if fault["what"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault["what"] == "raise":
        raise ZeroDivisionError("a fault of the test")
    elif fault["what"] == "refuse":
        raise DataError("train-000003.tar: a fault of the test")
    else:
        time.sleep(fault["seconds"])


if __name__ == "__main__":
    patch = pytest.MonkeyPatch()
    narrow(patch)
    start_ranks_here(patch)
    if "FAULT" in os.environ:
        fault = json.loads(os.environ["FAULT"])
        arm(fault)
        if fault["what"] == "busy":
            make_busy(patch, fault["seconds"], Path(fault["notes"]))
        if "notes" in fault and fault["what"] != "busy":
            note_work(patch, Path(fault["notes"]))
        if "lockless" in fault:
            take_locks_away(patch, fault["lockless"])
    sys.argv[0] = "headrace"
    cli.main()
