"""`--nproc N`: start N ranks of the same command on this machine, as torchrun would, and pass on how they ended."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from shards.errors import HeadraceError
from train.accelerator import Accelerator
from train.request import Request
from train.setup import resolve
from train.signals import exit_code
from train.weights import first_weights

_POLL_SECONDS = 0.1


def launch(processes: int, script: Path, arguments: Sequence[str], request: Request) -> int:
    """Run `script` with these arguments in `processes` ranks; the exit code of the first that failed, or 0.

    The request is checked here first, so that what can be refused is refused once and not by every rank. A
    signal to this process goes to the ranks, which save and end.
    """
    setup = resolve(request, processes)
    Accelerator.look().choose(setup.recipe.runtime.device, processes)
    if setup.resumed is None:  # a download is also made once here, before the ranks look for it
        first_weights(setup.recipe.model.name, setup.recipe.model.init, request.weights)
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the ranks' own error line says it better
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="headrace",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=_POLL_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)(str(script), *arguments)
    except SignalException as stopped:
        _end_ranks()
        return exit_code(stopped.sigval)
    except ChildFailedError as failed:
        return _of_first_failure(failed)
    return 0


def _of_first_failure(failed: ChildFailedError) -> int:
    """Exit code of the rank that failed first. Of one that was killed nobody else speaks; it counts as a failed run."""
    rank, failure = failed.get_first_failure()
    if failure.exitcode > 0:
        return failure.exitcode
    raise HeadraceError(
        f"rank {rank} was killed by {failure.signal_name()} (the kernel does so when memory runs out). "
        "Go on from the last checkpoint by --resume"
    )


def _end_ranks() -> None:
    """Kill ranks that are left: a second signal came while they were saving, and stops at once."""
    for listing in Path("/proc/self/task").glob("*/children"):
        for number in listing.read_text(encoding="ascii").split():
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
