"""What all parts share: the data, the sizes, and how something is timed."""

import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.harness.tables import Row, spread
from headrace.train.input.batch import Batch, resident_batch
from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.signals import StopRequest
from headrace.train.model.build import Built, build_model
from headrace.train.run.assemble import build_network, build_numerics, build_step
from headrace.train.run.process import entered, prepare, round_products
from headrace.train.run.request import Request
from headrace.train.run.resolve import Setup, resolve
from headrace.train.run.training import carry_out
from headrace.train.step.tally import LossRing, Tally
from headrace.train.step.update import TrainStep

_FREE = 10  # steps


@dataclass(frozen=True)
class Setting:
    """Where and how large. A dry run takes every way through the code on a CPU, with a narrow network."""

    shards: Path
    scratch: Path
    dry: bool
    ends: float = math.inf  # by time.monotonic(): nothing begins that would not end before

    def has_time(self, seconds: float) -> bool:
        """Whether something that takes so long may begin; a dry run takes a fraction."""
        return time.monotonic() + (0 if self.dry else seconds) < self.ends

    @property
    def device(self) -> str:
        """The device's name in a recipe."""
        return "cpu" if self.dry else "cuda"

    @property
    def size(self) -> int:
        """Side of the images that rates are quoted for, pixels."""
        return 32 if self.dry else 224

    @property
    def batch(self) -> int:
        """Samples of a step, one group."""
        return 8 if self.dry else 256

    @property
    def repeats(self) -> int:
        """Windows of which the median is taken."""
        return 2 if self.dry else 5

    @property
    def steps(self) -> int:
        """Steps of a window."""
        return 1 if self.dry else 40

    @property
    def decoders(self) -> tuple[str, ...]:
        """Where JPEGs are decoded."""
        return ("cpu",) if self.dry else ("cpu", "mixed")

    def setup(self, *settings: str, recipe: str = "b0-224-1gpu", processes: int = 1) -> Setup:
        """A checked run of one group a step from random weights; later settings win."""
        base = [
            f"runtime.device={self.device}",
            "runtime.compile=off",
            "model.init=random",
            f"augment.size={self.size}",
            f"train.global_batch={self.batch}",
            f"train.group={self.batch}",
        ]
        if self.dry:
            base += ["runtime.threads=1", f"evaluate.size={self.size}", "evaluate.batch=12"]
        out = self.scratch / f"run-{time.time_ns()}"
        return resolve(Request(self.shards, recipe, (*base, *settings), out=out), processes)

    def built(self, setup: Setup) -> Built:
        """The recipe's network; in a dry run a narrow one."""
        if not self.dry:
            return build_network(setup)
        classes = len(setup.shards.class_ids)
        narrow: Any = {"width_coefficient": 0.25, "depth_coefficient": 0.1}
        return build_model("efficientnet-b0", classes, init="random", weights=None, seed=0, **narrow)

    def step(self, setup: Setup) -> tuple[Place, TrainStep]:
        """The step of a setup, in the precision that a run would choose."""
        place, built = Place.find(setup.recipe.runtime), self.built(setup)
        prepare(place, deterministic=setup.recipe.runtime.deterministic)
        numerics = build_numerics(setup, place, built)
        round_products(numerics, place.accelerator)
        return place, build_step(setup, place, numerics, built)

    def resident(self, step: TrainStep, samples: int, size: int) -> Batch:
        """A batch that is already on the device."""
        return resident_batch(samples, size, step.accelerator)

    def whole_run(self, setup: Setup) -> list[Row]:
        """Train as `headrace train` does; the rows of epochs.csv."""
        with StopRequest() as stop, entered(setup.recipe.runtime) as place:
            carry_out(setup, place, stop, self.built(setup))
        with (setup.out / "epochs.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def rates(self, work: Callable[[int], int], accelerator: Accelerator, repeats: int | None = None) -> list[float]:
        """Images a second of `work`, which takes this many steps and returns their images, once for each repetition.

        Some steps go before each window and do not count: batches that lay ready would make it too fast.
        """
        found = []
        for _ in range(repeats or self.repeats):
            work(0 if self.dry else _FREE)
            accelerator.synchronize()
            began = time.perf_counter()
            images = work(self.steps)
            accelerator.synchronize()
            found.append(images / (time.perf_counter() - began))
        return found

    def on_resident(self, step: TrainStep, batch: Batch, repeats: int | None = None) -> list[float]:
        """R_synth: images a second of whole updates on one batch, over and over."""
        return self.rates(lambda steps: train_on(step, repeat(batch), steps), step.accelerator, repeats)


def train_on(step: TrainStep, batches: Iterator[Batch], steps: int) -> int:
    """Take so many updates; returns their images. Asks the device nothing."""
    tally, losses = Tally(step.accelerator), LossRing(max(1, steps), step.accelerator, 0)
    for number in range(steps):
        step(number, batches, tally, losses)
    return steps * step.global_batch


def rate_columns(rates: list[float]) -> Row:
    """Columns of a rate: median, spread and number."""
    return {**spread("images/s", rates, 1), "n": len(rates)}


def memory_columns(accelerator: Accelerator) -> Row:
    """Columns of device memory; a CPU tells none."""
    used = accelerator.memory()
    if used is None:
        return {"peak in tensors, GiB": "-", "held by others, GiB": "-"}
    return {"peak in tensors, GiB": round(used.peak / 2**30, 2), "held by others, GiB": round(used.others / 2**30, 2)}


Rows = Iterator[tuple[str, Row]]
"""What a part yields: a table and a row of it, as soon as it is measured."""
