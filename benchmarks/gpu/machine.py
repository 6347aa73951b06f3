"""Checks what a run needs from the machine, before anything is measured."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.gpu.report import driver
from benchmarks.gpu.setting import Rows, Setting
from benchmarks.harness.paths import ROOT
from benchmarks.harness.tables import Row
from headrace.train.machine.device import Accelerator
from headrace.train.machine.near import cores_near

_SECONDS = 200  # for the tests that need a GPU, without those that compile
_TESTS = ["tests/gpu/test_pixels.py", "tests/gpu/test_steps.py", "-k", "not compiled and not replayed"]


def run(setting: Setting) -> Rows:
    """A row for each need; then a row about the tests of pixels and steps, if pytest is installed."""
    for row in _needs(setting):
        yield "machine", row
    if setting.dry or find_spec("pytest") is None:
        yield "tests", {"tests": "not run", "note": "a dry run has no GPU" if setting.dry else "pytest is missing"}
    elif setting.has_time(_SECONDS):
        yield "tests", _tested()


def _needs(setting: Setting) -> Iterator[Row]:
    compiler, header = shutil.which("gcc"), Path(sysconfig.get_path("include")) / "Python.h"
    yield {"what": "python", "found": platform.python_version(), "there": True}
    yield {"what": "CUDA of torch", "found": str(torch.version.cuda), "there": torch.version.cuda is not None}
    yield {"what": "driver", "found": driver(), "there": not driver().startswith("unknown")}
    yield {"what": "gcc, for runtime.compile alone", "found": compiler or "", "there": compiler is not None}
    yield {"what": "Python.h, for runtime.compile alone", "found": str(header), "there": header.exists()}
    if setting.dry:
        return
    accelerator = Accelerator(0)
    free, total = torch.cuda.mem_get_info(accelerator.device)
    yield {"what": "memory that nobody holds", "found": f"{free / total:.1%}", "there": free > 0.95 * total}
    near, mine = cores_near(accelerator.pci_address() or ""), os.sched_getaffinity(0)
    shared = f"{len(near & mine)} of {len(mine)} usable ones"
    yield {"what": "cores near the GPU", "found": shared, "there": bool(near & mine)}


def _tested() -> Row:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *_TESTS]
    try:
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return {"tests": "not over", "note": f"after {_SECONDS} s"}
    last = (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]
    return {"tests": "passed" if not done.returncode else "failed", "note": last[:200]}
