"""The rate of the step alone, on a batch that is already on the device."""

import time
from itertools import repeat
from typing import NamedTuple

from headrace.train.input.batch import Batch
from headrace.train.step.tally import LossRing, Tally
from headrace.train.step.update import TrainStep

_STEPS = 50
_SECONDS = 5.0  # fewer steps where 50 would take longer


class StepRate(NamedTuple):
    """How fast the step is on a batch that is there."""

    images_per_second: float  # over all ranks
    cpu_seconds: float  # of this rank for each of its images


def count_for(step_seconds: float) -> int:
    """How many steps of so many seconds the rate is measured with, at least one."""
    return max(1, min(_STEPS, int(_SECONDS / step_seconds)))


def synthetic_rate(step: TrainStep, resident: Batch, first_step: int, count: int) -> StepRate:
    """The rate of `count` steps on one resident batch. Trains on it: only for a model already saved.

    One more is run before them. All ranks run as many.
    """
    batches = repeat(resident)
    tally, losses = Tally(step.accelerator), LossRing(count + 1, step.accelerator, first_step)
    step(first_step, batches, tally, losses)
    step.accelerator.synchronize()
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        step(first_step + number, batches, tally, losses)
    step.accelerator.synchronize()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    mine = count * step.micro_batches * len(resident.labels)
    return StepRate(count * step.global_batch / seconds, cpu / mine)
