"""A checkpoint of a small real step with one changed value, which is then resumed or evaluated."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.shards.errors import DataError, UsageError, error_line
from headrace.train.checkpoint.progress import Progress
from headrace.train.machine.place import Place
from headrace.train.model.build import Built
from headrace.train.model.normalisation import normalisation_of
from headrace.train.record.attempts import Attempt
from headrace.train.run.assemble import build_numerics, build_saver, build_step
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve
from headrace.train.step.update import TrainStep
from tests.train.networks import shallow

SETTINGS = (
    "train.epochs=2",
    "train.global_batch=32",
    "optim.ema_half_life=100",
    "runtime.device=cpu",
    "runtime.threads=1",
    "runtime.precision=fp32",
)
PROGRESS = Progress(step=3)
OPTIMIZERS = ("adamw", "sgd", "rmsprop")
Where = tuple[str | int, ...]
"""Keys that lead to a value of a checkpoint."""
GONE = object()
LONGEST = 1000
"""Characters of an error line that somebody will still read."""


def built() -> Built:
    """Return the network of the step, with random weights."""
    return Built(shallow(), normalisation_of("efficientnet-b0"), "")


def save_one(shards: Path, out: Path, *settings: str) -> Path:
    """Return the file of a checkpoint after three updates."""
    setup = resolve(Request(shards, "demo", (*SETTINGS, *settings), out=out), 1)
    place = Place.find(setup.recipe.runtime)
    first = built()
    step = build_step(setup, place, build_numerics(setup, place, first), first)
    for _ in range(PROGRESS.step):
        for parameter in step.network.parameters():
            parameter.grad = parameter.detach() * 0.1 + 0.01
        step.optimizer.step()
    out.mkdir()
    saver = build_saver(setup, place, step, Attempt())
    saver(PROGRESS, best=False)
    saver.done(wait=True)
    return out / "last.pt"


def changed(data: bytes, where: Where, change: Callable[[Any], Any]) -> bytes:
    """Write the file with `change` applied to the value at `where`; GONE removes the value."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    table: Any = state
    for key in where[:-1]:
        table = table[key]
    value = change(table[where[-1]])
    if value is GONE:
        del table[where[-1]]
    else:
        table[where[-1]] = value
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def resumed(shards: Path, path: Path, *settings: str) -> TrainStep:
    """Return the step with the states of the checkpoint, built as a resumed run builds it."""
    setup = resolve(Request(shards, settings=settings, out=path.parent / "resumed", resume=str(path)), 1)
    place, first = Place.find(setup.recipe.runtime), built()
    return build_step(setup, place, build_numerics(setup, place, first), first)


def refusal(action: Callable[[], object]) -> str:
    """Return the one line with which the command would end, with exit code 2 or 3."""
    with pytest.raises((UsageError, DataError)) as caught:
        action()
    line = error_line(caught.value)
    assert line.isprintable()
    assert len(line) < LONGEST
    return line
