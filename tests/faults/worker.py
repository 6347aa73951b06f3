"""The `headrace` command with a narrow EfficientNet, and with a fault to come where FAULT describes one.

FAULT is JSON: {"what": "kill" | "raise" | "refuse" | "hang" | "slow", "step": STEP, "rank": RANK, "seconds": SECONDS}.
It strikes when the rank begins the step, and only before the launcher's first restart.
"""

import json
import os
import signal
import sys
import time
from typing import Any

from headrace import cli
from headrace.shards.errors import DataError
from headrace.train.evaluate import measure
from headrace.train.run import assemble
from headrace.train.step.update import TrainStep
from tests.ddp.train_worker import NARROW


def narrow() -> None:
    """Have all runs of this process build a network that is fast to train."""
    build = assemble.build_model

    def narrowed(*given: Any, **named: Any) -> Any:
        return build(*given, **named, **NARROW)

    assemble.build_model = measure.build_model = narrowed  # type: ignore[assignment]


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

    TrainStep.__call__ = faulty  # type: ignore[method-assign]


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
    narrow()
    if "FAULT" in os.environ:
        arm(json.loads(os.environ["FAULT"]))
    cli.__file__ = __file__  # what --nproc starts its ranks with
    cli._check_rooms = lambda: None
    sys.argv[0] = "headrace"
    cli.main()
