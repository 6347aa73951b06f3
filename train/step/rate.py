"""Measures the rate of training steps alone, without reading and decoding: on a batch that is already on the device."""

import time
from itertools import repeat
from typing import NamedTuple

from headrace.train.input.batch import Batch
from headrace.train.step.tally import LossRing, Tally
from headrace.train.step.update import TrainStep

_STEPS = 50
_SECONDS = 5.0  # fewer than 50 steps are measured if 50 would take longer


class StepRate(NamedTuple):
    """The rate of training steps on a batch that is already on the device."""

    images_per_second: float  # over all ranks
    cpu_seconds: float  # CPU time of this rank for one of its images


def count_for(step_seconds: float) -> int:
    """Return the number of steps to measure, at least one, if one step takes `step_seconds`."""
    return max(1, min(_STEPS, int(_SECONDS / step_seconds)))


def synthetic_rate(step: TrainStep, resident: Batch, first_step: int, count: int) -> StepRate:
    """Return the rate of `count` steps on the batch `resident`, after one step that is not measured.

    These steps change the weights, so save the network first. All ranks must run the same number of steps.
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
