"""Loops that numba compiles: kept where they can be, and never loaded where nothing needs them."""

import os
import subprocess
import sys
import threading
import time

from tests.project.sources import ROOT
from train.jit import jit


def test_function_without_a_file_is_compiled_all_the_same() -> None:
    """Where numba finds no folder for its cache, here for want of a file, the function works without one."""
    names: dict[str, object] = {}
    exec("def doubled(x):\n    return 2 * x", names)  # noqa: S102  the way to a function that lies in no file
    doubled = jit(names["doubled"])  # type: ignore[type-var]
    assert doubled(21) == 42  # type: ignore[operator]


@jit
def count_to(end: int) -> int:
    """Something that takes its time."""
    state = 1
    for turn in range(end):
        state = (state * 6364136223846793005 + turn) & 0xFFFFFFFF
    return state


def test_other_threads_run_meanwhile() -> None:
    """The interpreter's lock is not held: this thread gets its turns while another one computes."""
    count_to(1)
    thread = threading.Thread(target=count_to, args=(500_000_000,))
    began = time.perf_counter()
    thread.start()
    started = time.perf_counter() - began
    thread.join()
    assert started < 0.5 * (time.perf_counter() - began)


def test_pipeline_of_a_gpu_loads_no_compiler() -> None:
    """Importing the pipeline, all that a run on a GPU needs of it, leaves numba out."""
    code = "import sys, train.pipeline, train.normalise; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
