"""The `headrace` command with a narrow EfficientNet, and with a fault to come where FAULT describes one.

FAULT is JSON: {"what": "kill" | "raise" | "refuse" | "hang" | "slow", "step": STEP, "rank": RANK, "seconds": SECONDS}.
It strikes when the rank begins the step, and only before the launcher's first restart.
"""

import json
import os
import signal
import sys
import time
from functools import partial
from typing import Any

import pytest

from headrace import cli
from headrace.shards.errors import DataError
from headrace.train.evaluate import trained
from headrace.train.machine import launch
from headrace.train.model.build import build_model
from headrace.train.run import assemble
from headrace.train.step.update import TrainStep
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
    mine = fault.get("rank", 0) == int(os.environ.get("RANK", "0"))
    if not mine or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0:
        return
    update = TrainStep.__call__

    def faulty(self: TrainStep, number: int, *rest: Any) -> None:
        if fault["what"] == "slow" or number == fault["step"]:
            strike(fault)
        update(self, number, *rest)

    TrainStep.__call__ = faulty  # type: ignore[method-assign, assignment]


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
        arm(json.loads(os.environ["FAULT"]))
    sys.argv[0] = "headrace"
    cli.main()
