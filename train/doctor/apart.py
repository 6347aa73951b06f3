"""Measures a job in separate processes, so that each measurement starts in a fresh state."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.errors import HeadraceError
from headrace.shards.urls import Url
from headrace.train.doctor.asked import Asked, Part
from headrace.train.doctor.measured import Measured
from headrace.train.machine.parent import launcher_environment


def measure_apart(asked: Asked, part: Part, cores: int | None = None) -> Measured:
    """Make the measurement `part` of a job in new processes, on the first `cores` cores or, if None, on all cores.

    If a measuring process fails, it prints the reason, and this process ends with the same exit code.
    """
    where = asked.shards.text if isinstance(asked.shards, Url) else str(asked.shards)
    command = [sys.executable, "-P", "-m", "headrace", "doctor", where, f"--nproc={asked.processes}"]
    command += [] if asked.recipe is None else [f"--recipe={asked.recipe}"]
    command += [f"--set={setting}" for setting in asked.settings]
    environment = {
        **os.environ,
        **launcher_environment(),
        **part.environment(),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with _on(cores):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    with process:
        output = process.stdout.read() if process.stdout else b""
    if process.returncode:
        sys.exit(process.returncode if process.returncode > 0 else 128 - process.returncode)
    lines = output.splitlines()
    if not lines:
        raise HeadraceError("the process that measures the job ended without a result. Run headrace doctor again")
    return Measured.model_validate_json(lines[-1])  # anything before it is output of libraries


@contextmanager
def _on(cores: int | None) -> Iterator[None]:
    """Within this context, new processes may use only the first `cores` of the cores that this process may use."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(own)[:cores]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
