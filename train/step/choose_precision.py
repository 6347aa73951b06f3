"""Which number format a run computes in: the one that is named, or by timing steps made for that."""

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
    """The formats of the precision `wanted`, or for "auto" of the one that is fastest here.

    That is bf16 on a GPU that has it, fp16 on one that has not; on a CPU with bf16 units the faster of fp32 and bf16,
    on others fp32. What is timed are steps that `trial` makes, which are thrown away, on the batch that `resident`
    makes; every rank chooses the same. A deterministic run times nothing, and takes fp32 there.
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
    """Seconds of some passes of a step."""
    step.warm_up(resident)
    began = time.perf_counter()
    for _ in range(_TIMED_PASSES):
        step.warm_up(resident)
    return time.perf_counter() - began
