"""Training steps of a narrow network on a chosen device, and batches for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import torch

from headrace.train.input.batch import Batch, resident_batch
from headrace.train.machine.place import Place
from headrace.train.model.build import Built
from headrace.train.model.normalisation import normalisation_of
from headrace.train.run.assemble import build_numerics, build_step
from headrace.train.run.process import prepare, round_products
from headrace.train.run.request import Request
from headrace.train.run.resolve import Setup, resolve
from headrace.train.step.tally import LossRing, Tally
from headrace.train.step.update import TrainStep
from tests.train.networks import narrow

SETTINGS = ("train.global_batch=32", "train.group=8", "model.drop_connect=0.2", "optim.ema_half_life=100")


def made(shards: Path, out: Path, device: str, *settings: str) -> tuple[Setup, Place, TrainStep]:
    """A step of four micro-batches with all noise on."""
    wanted = (*SETTINGS, f"runtime.device={device}", *settings)
    setup = resolve(Request(shards, "demo", wanted, out=out), 1)
    place = Place.find(setup.recipe.runtime)
    prepare(place, deterministic=setup.recipe.runtime.deterministic)
    built = Built(narrow(), normalisation_of("efficientnet-b0"), "")
    numerics = build_numerics(setup, place, built)
    round_products(numerics, place.accelerator)
    return setup, place, build_step(setup, place, numerics, built)


def resident(step: TrainStep, size: int = 32) -> Batch:
    """One micro-batch that is already on the device."""
    return resident_batch(8, size, step.accelerator)


def losses_of(step: TrainStep, batches: Iterator[Batch], steps: int) -> list[float]:
    """Losses of so many updates."""
    tally, losses = Tally(step.accelerator), LossRing(steps, step.accelerator, 0)
    for number in range(steps):
        step(number, batches, tally, losses)
    return [loss for _, loss in losses.read(step.world)]


def on_resident(step: TrainStep, steps: int, size: int = 32) -> list[float]:
    """Losses of updates on one batch, over and over."""
    return losses_of(step, repeat(resident(step, size)), steps)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Inside, an operation of torch that makes the host wait for the GPU is an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
