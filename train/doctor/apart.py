"""Measuring in processes of its own: this one stays light, and each measurement begins in a fresh state."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.shards.errors import HeadraceError
from headrace.train.doctor.asked import Asked, Part
from headrace.train.doctor.measured import Measured
from headrace.train.machine.parent import launcher_environment


def measure_apart(asked: Asked, part: Part, cores: int | None = None) -> Measured:
    """Measure a part of a job in ranks of its own, on the first `cores` that this process may use, or on all of them.

    A process that fails has said why; then this one ends with the same exit code.
    """
    command = [sys.executable, "-P", "-m", "headrace", "doctor", str(asked.shards), f"--nproc={asked.processes}"]
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
        raise HeadraceError("the measuring process ended without a result; try again")
    return Measured.model_validate_json(lines[-1])  # anything before it is a library's chatter


@contextmanager
def _on(cores: int | None) -> Iterator[None]:
    """Processes that are started within may use the first so many cores of those that this one may use."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(own)[:cores]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
