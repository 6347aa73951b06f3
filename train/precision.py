"""Which number format the forward pass uses, where the recipe leaves it open."""

import time

import torch

from train.accelerator import Accelerator
from train.batch import Batch
from train.step import TrainStep
from train.world import World

_TIMED_PASSES = 3


def choose_precision(wanted: str, step: TrainStep, resident: Batch, accelerator: Accelerator, world: World) -> str:
    """`wanted`, or for "auto": bf16 on a GPU; on a CPU with bf16 units the faster of fp32 and bf16, else fp32.

    The choice is timed on a resident batch and is the same on every rank.
    """
    if wanted != "auto":
        return wanted
    candidates = accelerator.candidate_precisions()
    if len(candidates) == 1:
        return candidates[0]
    seconds = []
    for candidate in candidates:
        accelerator.precision = candidate
        step.warm_up(resident)
        began = time.perf_counter()
        for _ in range(_TIMED_PASSES):
            step.warm_up(resident)
        seconds.append(time.perf_counter() - began)
    total = world.sum(torch.tensor(seconds, dtype=torch.float64)).tolist()
    return candidates[total.index(min(total))]
