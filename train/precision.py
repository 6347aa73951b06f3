"""Which number format a run computes in: the recipe's word, the checkpoint's, or by timing where both leave it open."""

import copy
import time
from dataclasses import replace

import torch

from shards.errors import UsageError
from train.batch import resident_batch
from train.model import Built
from train.numerics import Numerics
from train.parts import build_step
from train.place import Place
from train.resume import Resumed
from train.setup import Setup

_TIMED_PASSES = 3


def choose_numerics(setup: Setup, place: Place, built: Built) -> Numerics:
    """What the recipe says, or for "auto" what the checkpoint was trained in, or what is fastest here.

    That is bf16 on a GPU that has it, fp16 on one that has not; on a CPU with bf16 units the faster of fp32 and bf16,
    on others fp32. What is timed are steps made for that around copies of the network; every rank chooses the same.
    A deterministic run times nothing, and takes fp32 there. Raises UsageError for a checkpoint in a format that this
    device does not have.
    """
    wanted: str = setup.recipe.runtime.precision
    if wanted == "auto":
        wanted = _of_checkpoint(setup.resumed, place) if setup.resumed else _fastest(setup, place, built)
    return Numerics(wanted, place.accelerator.device.type)


def _of_checkpoint(resumed: Resumed, place: Place) -> str:
    if not place.accelerator.has(resumed.precision):
        raise UsageError(
            f"{resumed.path}: trained in {resumed.precision}, which needs a GPU; this run is on the CPU. "
            "Give --set runtime.precision=fp32"
        )
    return resumed.precision


def _fastest(setup: Setup, place: Place, built: Built) -> str:
    candidates = place.accelerator.candidate_precisions()
    if len(candidates) == 1 or setup.recipe.runtime.deterministic:
        return candidates[0]
    seconds = [_seconds(setup, place, candidate, built) for candidate in candidates]
    total = place.world.sum(torch.tensor(seconds, dtype=torch.float64)).tolist()
    return candidates[total.index(min(total))]


def _seconds(setup: Setup, place: Place, precision: str, built: Built) -> float:
    """Seconds of some passes of a step that is thrown away."""
    numerics = Numerics(precision, place.accelerator.device.type)
    step = build_step(setup, place, numerics, replace(built, network=copy.deepcopy(built.network)))
    resident = resident_batch(setup.recipe.train.group, setup.recipe.augment.stages[-1][1], place.accelerator)
    step.warm_up(resident)
    began = time.perf_counter()
    for _ in range(_TIMED_PASSES):
        step.warm_up(resident)
    return time.perf_counter() - began
