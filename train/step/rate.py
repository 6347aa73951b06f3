"""The rate of the step alone, on a batch that is already on the device."""

import time
from itertools import repeat

from headrace.train.input.batch import Batch
from headrace.train.step.tally import LossRing, Tally
from headrace.train.step.update import TrainStep

_STEPS = 50
_SECONDS = 20.0  # fewer steps where 50 would take longer


def synthetic_rate(step: TrainStep, resident: Batch, first_step: int, step_seconds: float) -> float:
    """Images a second of the step on one resident batch. Trains on it: only for a model already saved.

    `step_seconds` is what a step took so far, equal on every rank, and bounds how many are run.
    """
    count = max(3, min(_STEPS, int(_SECONDS / step_seconds)))
    batches = repeat(resident)
    tally, losses = Tally(step.accelerator), LossRing(count + 1, step.accelerator, first_step)
    step(first_step, batches, tally, losses)
    step.accelerator.synchronize()
    began = time.perf_counter()
    for number in range(count):
        step(first_step + number, batches, tally, losses)
    step.accelerator.synchronize()
    return count * step.global_batch / (time.perf_counter() - began)
