"""Out of memory on the device: which micro-batch would fit, and what to change for it."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from headrace.shards.errors import HeadraceError
from headrace.train.checkpoint import files
from headrace.train.input.batch import resident_batch
from headrace.train.machine.device import Accelerator, Memory
from headrace.train.run.resolve import Setup
from headrace.train.step.update import TrainStep

_USABLE = 0.9  # of the memory that torch can have: the rest goes to gaps between blocks and to kernels' workspaces
_GIB = 2**30


@contextmanager
def explained(setup: Setup, step: TrainStep) -> Iterator[None]:
    """Inside, running out of device memory is a HeadraceError that says what would fit. Checkpoints stay."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)  # they hold the activations of the pass that failed
        raise HeadraceError(_message(setup, step)) from error


def _message(setup: Setup, step: TrainStep) -> str:
    recipe, size = setup.recipe, max(size for _, size in setup.recipe.augment.stages)
    group = recipe.train.group
    fits, memory = _fitting_group(step, size, group), step.accelerator.memory()
    there = (
        f" in {_available(memory) / _GIB:.1f} GiB, beside {memory.others / _GIB:.1f} GiB of others" if memory else ""
    )
    begin = f"out of memory on {step.accelerator.name}: "
    if fits is not None and fits >= group:
        found = (
            f"training in groups of {group} images of {size} px fits{there}, so something else took the rest. "
            f"Lower evaluate.batch, which is {recipe.evaluate.batch}, or end what else runs on the device"
        )
    else:
        seen = "" if fits is None else f"; by two smaller passes about {fits} would"
        found = f"a group of {group} images of {size} px does not fit{there}{seen}. {_remedy(setup, fits)}"
    saved = files.exists(setup.out)
    return begin + found + (f". The last checkpoint is whole: {setup.out}/last.pt" if saved else "")


def _remedy(setup: Setup, fits: int | None) -> str:
    train = setup.recipe.train
    most = train.group // 2 if fits is None else fits
    if train.batch_per_process is not None and most:
        return f"Give --batch-per-process {most}, which changes the global batch and with it the result"
    smaller = [one for one in range(1, most + 1) if train.global_batch % one == 0]
    if not smaller:
        return "Take a smaller model or smaller images"
    best = max(smaller)
    return (
        f"Give --set train.group={best}: the global batch stays {train.global_batch}, as "
        f"{train.global_batch // best} groups one after another on the processes that there are. The group is what "
        "batch normalisation sees, so the result changes: begin anew, or go on with --override recipe"
    )


def _fitting_group(step: TrainStep, size: int, group: int) -> int | None:
    """The largest group that fits, from the peaks of two small passes; None where the device tells no memory."""
    accelerator = step.accelerator
    if accelerator.memory() is None or group < 4:
        return None
    step.network.train()  # evaluation may have been what failed
    step.compilable.use("off")  # other sizes would be compiled first
    peaks = []
    for samples in (max(2, group // 8), max(3, group // 4)):
        try:
            peaks.append((samples, _peak(step, samples, size, accelerator)))
        except torch.OutOfMemoryError:
            return samples // 2
    memory = accelerator.memory()
    return None if memory is None else largest_that_fits(peaks, _available(memory))


def _peak(step: TrainStep, samples: int, size: int, accelerator: Accelerator) -> int:
    accelerator.release()
    resident = resident_batch(samples, size, accelerator)
    step.warm_up(resident, 1, together=False)
    accelerator.synchronize()
    memory = accelerator.memory()
    return memory.peak if memory else 0


def _available(memory: Memory) -> int:
    return memory.total - memory.others


def largest_that_fits(peaks: Sequence[tuple[int, int]], available: int) -> int:
    """The samples of a pass whose peak stays within `available` bytes, by the line through two (samples, bytes).

    What does not grow with the samples (weights, optimizer, buffers) is where the line begins.
    """
    (few, low), (more, high) = peaks
    slope = max(1.0, (high - low) / (more - few))
    return max(0, int((_USABLE * available - (low - slope * few)) / slope))
