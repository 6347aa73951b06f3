"""Out of memory on the device: what was asked of it, what it has, and which values to lower."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from headrace.shards.errors import HeadraceError
from headrace.train.checkpoint import files
from headrace.train.machine.device import Accelerator, Memory
from headrace.train.run.resolve import Setup

_GIB = 2**30


@contextmanager
def explain(setup: Setup, accelerator: Accelerator) -> Iterator[None]:
    """Inside, running out of device memory is a HeadraceError of one line. Checkpoints stay."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise HeadraceError(_message(setup, accelerator, str(error))) from error


def _message(setup: Setup, accelerator: Accelerator, said: str) -> str:
    """The line, where `said` is torch's own message."""
    recipe, size = setup.recipe, max(size for _, size in setup.recipe.augment.stages)
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", said)
    more = f" when {asked[1]} more were asked for" if asked else ""
    memory = accelerator.memory()
    has = f" It has {_describe(memory)}." if memory else ""
    saved = f" The last checkpoint is whole: {setup.out}/last.pt" if files.exists(setup.out) else ""
    return (
        f"out of memory on {accelerator.name}{more}.{has} Training passes {recipe.train.group} images of {size} px "
        f"through {recipe.model.name} at once, evaluation {recipe.evaluate.batch} of {recipe.evaluate.size} px. "
        f"{_remedy(setup)}.{saved}"
    )


def _describe(memory: Memory) -> str:
    total, peak, others = (f"{number / _GIB:.1f} GiB" for number in (memory.total, memory.peak, memory.others))
    return f"{total}, of which tensors held at most {peak} and the decoder and other programs hold {others}"


def _remedy(setup: Setup) -> str:
    """Which values to lower, and what that changes."""
    train = setup.recipe.train
    if train.batch_per_process is not None:
        group = f"--batch-per-process, which is {train.batch_per_process}"
    else:
        group = f"train.group, which is {train.group} and must divide train.global_batch, {train.global_batch}"
    return (
        f"Lower {group}, or evaluate.batch if it was evaluation that failed; smaller images and models take less too. "
        "Batch normalisation sees the group, so another one changes the result: begin a new run, or resume with "
        "--override recipe"
    )
