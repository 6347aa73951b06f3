"""Chooses the number formats of a run: as the recipe says, or by timing trial steps."""

import time
from collections.abc import Callable

import torch

from headrace.train.input.batch import Batch
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.step.update import TrainStep

_TIMED_PASSES = 3


def choose_numerics(
    wanted: str,
    place: Place,
    trial: Callable[[Numerics], TrainStep],
    resident: Callable[[], Batch],
    *,
    deterministic: bool,
) -> Numerics:
    """Return the number formats for the precision `wanted`. "auto" means the fastest precision on this device.

    A GPU that supports bf16 uses bf16, other GPUs use fp16. A CPU with bf16 units uses the faster of fp32 and bf16,
    other CPUs use fp32. To find the faster one, steps made by `trial` are timed on the batch made by `resident` and
    then discarded; every rank makes the same choice. A deterministic run times nothing and uses fp32 on every CPU.
    """
    if wanted == "auto":
        wanted = _fastest(place, trial, resident, timing=not deterministic)
    return Numerics(wanted, place.accelerator.device.type)


def _fastest(
    place: Place, trial: Callable[[Numerics], TrainStep], resident: Callable[[], Batch], *, timing: bool
) -> str:
    candidates = place.accelerator.candidate_precisions()
    if len(candidates) == 1 or not timing:
        return candidates[0]
    formats = [Numerics(candidate, place.accelerator.device.type) for candidate in candidates]
    seconds = [_seconds(trial(numerics), resident()) for numerics in formats]
    total = place.world.sum(torch.tensor(seconds, dtype=torch.float64)).tolist()
    return candidates[total.index(min(total))]


def _seconds(step: TrainStep, resident: Batch) -> float:
    """Return the time in seconds that a few passes of `step` take."""
    step.warm_up(resident)
    began = time.perf_counter()
    for _ in range(_TIMED_PASSES):
        step.warm_up(resident)
    return time.perf_counter() - began
