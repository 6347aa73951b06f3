"""Compiles the network as `runtime.compile` says, before the first step; if one rank fails, all ranks stop."""

import time
from collections.abc import Sequence
from subprocess import SubprocessError
from typing import NamedTuple

from headrace.shards.errors import HeadraceError
from headrace.train.input.batch import Batch
from headrace.train.step.update import TrainStep

_SETTLING_PASSES = 3  # a CUDA graph is recorded at the second pass and replayed from the third on


class Compilation(NamedTuple):
    """The mode in which the network was compiled, and the seconds that compiling took before the first batch."""

    mode: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return self.mode if self.mode == "off" else f"{self.mode} ({self.seconds:.1f} s before the clock starts)"


def compile_step(step: TrainStep, wanted: str, residents: Sequence[Batch]) -> Compilation:
    """Compile the network in the mode `wanted` for each image size; `residents` has one batch on the device per size.

    "auto" means "off". Raises HeadraceError on every rank if compiling fails on any rank.
    """
    mode = "off" if wanted == "auto" else wanted
    if mode == "off":
        return Compilation(mode)
    began, problem = time.perf_counter(), ""
    try:
        step.compilable.use(mode)
        for resident in residents:
            step.warm_up(resident, _SETTLING_PASSES, together=False)
    except (RuntimeError, OSError, SubprocessError) as error:  # the latter two if Triton's call of gcc fails
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
    if step.world.any(bool(problem)):
        step.compilable.use("off")
        reason = problem or "it failed on another rank"
        raise HeadraceError(f"runtime.compile = {mode} failed: {reason}. Use runtime.compile=off")
    return Compilation(mode, time.perf_counter() - began)
