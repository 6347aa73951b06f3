"""Explains an out-of-memory error of the device: the requested and the existing memory, and which values to lower."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from headrace.shards.errors import HeadraceError
from headrace.train.checkpoint import names
from headrace.train.machine.device import Accelerator, Memory
from headrace.train.run.resolve import Setup

_GIB = 2**30


@contextmanager
def explain(setup: Setup, accelerator: Accelerator) -> Iterator[None]:
    """Turn torch's out-of-memory error in this context into a HeadraceError that tells which values to lower."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise HeadraceError(_message(setup, accelerator, str(error))) from error


def _message(setup: Setup, accelerator: Accelerator, said: str) -> str:
    """Return the error message; `said` is torch's own message."""
    recipe, size = setup.recipe, max(size for _, size in setup.recipe.augment.stages)
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", said)
    more = f" when {asked[1]} more were requested" if asked else ""
    memory = accelerator.memory()
    has = f" The device has {_describe(memory)}." if memory else ""
    saved = f" The last checkpoint is intact: {setup.out}/last.pt" if names.exists(setup.out) else ""
    return (
        f"out of memory on {accelerator.name}{more}.{has} Training passes {recipe.train.group} images of {size} px "
        f"through {recipe.model.name} at once, evaluation {recipe.evaluate.batch} of {recipe.evaluate.size} px. "
        f"{_remedy(setup)}.{saved}"
    )


def _describe(memory: Memory) -> str:
    total, peak, others = (f"{number / _GIB:.1f} GiB" for number in (memory.total, memory.peak, memory.others))
    return f"{total}, of which tensors held at most {peak} and the decoder and other programs hold {others}"


def _remedy(setup: Setup) -> str:
    """Return advice on which values to lower, and on how lower values change the result."""
    train = setup.recipe.train
    if train.batch_per_process is not None:
        group = f"--batch-per-process, which is {train.batch_per_process}"
    else:
        group = f"train.group, which is {train.group} and must divide train.global_batch, {train.global_batch}"
    return (
        f"Lower {group}, or evaluate.batch if evaluation failed; smaller images and models also need less memory. "
        "Batch normalisation works on groups, so another group size changes the result: begin a new run, or resume "
        "with --override recipe"
    )
