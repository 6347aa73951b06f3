"""Whether the step's network is compiled, and how, where the recipe leaves it open: by timing, before the clock starts.

Compiling pays back over a long run only. How long that is rests on two round figures until a GPU has been measured.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from headrace.shards.errors import HeadraceError
from headrace.train.input.batch import Batch
from headrace.train.machine.device import Accelerator
from headrace.train.machine.world import World
from headrace.train.step.update import TrainStep

_ASSUMED_SECONDS, _ASSUMED_GAIN = 60.0, 0.2  # to compile one size in one mode; share of the step that is saved
_TIMED_PASSES = 8
_SETTLING_PASSES = 3  # a CUDA graph is recorded at the second pass and replayed from the third on


class Compilation(NamedTuple):
    """What was chosen, why, and the seconds that it took before the first batch."""

    mode: str
    reason: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        notes = [self.reason] if self.reason else []
        if self.mode != "off":
            notes.append(f"{self.seconds:.1f} s before the clock starts")
        return f"{self.mode} ({', '.join(notes)})" if notes else self.mode


class Compiler:
    """Tries ways to compile on resident batches, one of each size that will come. All ranks choose the same."""

    def __init__(self, step: TrainStep, residents: Sequence[Batch], accelerator: Accelerator, world: World) -> None:
        self._step, self._residents = step, residents
        self._accelerator, self._world = accelerator, world

    def settle(self, wanted: str, steps: int, say: Callable[[str], None]) -> Compilation:
        """Compile as `wanted`, or for "auto" as is fastest for the `steps` that are left.

        Raises HeadraceError when what was asked for by name does not compile.
        """
        if wanted == "auto":
            return self._fastest(steps, say)
        began = time.perf_counter()
        if wanted != "off" and (problem := self._problem(wanted)):
            raise HeadraceError(f"runtime.compile = {wanted} failed: {problem}. Use runtime.compile=off")
        return Compilation(wanted, "as asked", time.perf_counter() - began)

    def _fastest(self, steps: int, say: Callable[[str], None]) -> Compilation:
        candidates, began = self._accelerator.candidate_compilations(), time.perf_counter()
        if not candidates:
            return Compilation("off")
        seconds = {"off": self._seconds()}
        cost = _ASSUMED_SECONDS * len(self._residents) * len(candidates)
        if _ASSUMED_GAIN * seconds["off"] * self._step.micro_batches * steps < cost:
            return Compilation("off", "the run is too short to repay compiling")
        say(f"compile  timing {', '.join(candidates)} before the first batch; this can take minutes")
        problems = []
        for mode in candidates:
            if problem := self._problem(mode):
                problems.append(f"{mode} failed: {problem}")
            else:
                seconds[mode] = self._seconds()
        best = min(seconds, key=lambda mode: seconds[mode])
        if best != self._step.compilable.mode and (problem := self._problem(best)):
            problems.append(f"{best} failed the second time: {problem}")
            best = "off"
        gains = [f"{mode} {1000 * value:.1f} ms a pass" for mode, value in seconds.items()]
        return Compilation(best, "; ".join([*gains, *problems]), time.perf_counter() - began)

    def _problem(self, mode: str) -> str | None:
        """Use `mode` and run each size through it; where that fails on any rank, all use "off", and it says why."""
        problem = ""
        try:
            self._step.compilable.use(mode)
            for resident in self._residents:
                self._step.warm_up(resident, _SETTLING_PASSES, together=False)
        except RuntimeError as error:
            problem = (str(error).strip() or type(error).__name__).splitlines()[0]
        if not self._world.any(bool(problem)):
            return None
        self._step.compilable.use("off")
        return problem or "it failed on another rank"

    def _seconds(self) -> float:
        """Seconds of one pass at the last size, the mean over ranks."""
        resident = self._residents[-1]
        self._step.warm_up(resident, _SETTLING_PASSES, together=False)
        self._accelerator.synchronize()
        began = time.perf_counter()
        self._step.warm_up(resident, _TIMED_PASSES, together=False)
        self._accelerator.synchronize()
        taken = torch.tensor((time.perf_counter() - began) / _TIMED_PASSES, device=self._accelerator.device)
        return float(self._world.sum(taken)) / self._world.size
