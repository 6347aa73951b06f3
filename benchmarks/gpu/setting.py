"""Defines what all parts share: the data, the sizes and the way to time."""

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

_FREE = 10  # steps before a window, which are not timed


@dataclass(frozen=True)
class Setting:
    """The data and the sizes of measurements. A dry run executes all code on a CPU, with a narrow network."""

    shards: Path
    scratch: Path
    dry: bool
    ends: float = math.inf  # a time of time.monotonic(); nothing begins that would end later

    def has_time(self, seconds: float) -> bool:
        """Whether a measurement of this many seconds may begin; dry runs take only a fraction, so they always may."""
        return time.monotonic() + (0 if self.dry else seconds) < self.ends

    @property
    def device(self) -> str:
        """The name of the device in a recipe."""
        return "cpu" if self.dry else "cuda"

    @property
    def size(self) -> int:
        """The side in pixels of the images for which rates are quoted."""
        return 32 if self.dry else 224

    @property
    def batch(self) -> int:
        """The number of samples of a step, which is one group."""
        return 8 if self.dry else 256

    @property
    def repeats(self) -> int:
        """The number of windows of which the median is taken."""
        return 2 if self.dry else 5

    @property
    def steps(self) -> int:
        """The number of steps in a window."""
        return 1 if self.dry else 40

    @property
    def decoders(self) -> tuple[str, ...]:
        """The values of runtime.decode that are measured: where JPEGs are decoded."""
        return ("cpu",) if self.dry else ("cpu", "mixed")

    def setup(self, *settings: str, recipe: str = "b0-224-1gpu", processes: int = 1) -> Setup:
        """The setup of a run with one group per step and random weights; `settings` override its defaults."""
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
        """The network of the recipe; in a dry run, a narrow one."""
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
        """A batch on the device."""
        return resident_batch(samples, size, step.accelerator)

    def whole_run(self, setup: Setup) -> list[Row]:
        """Train like `headrace train`; return the rows of epochs.csv."""
        with StopRequest() as stop, entered(setup.recipe.runtime) as place:
            carry_out(setup, place, stop, self.built(setup))
        with (setup.out / "epochs.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def rates(self, work: Callable[[int], int], accelerator: Accelerator, repeats: int | None = None) -> list[float]:
        """The images per second of `work` in each repetition; it takes a number of steps and returns their images.

        Some steps before each window are not timed, because batches that are ready would make it too fast.
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
        """R_synth: the images per second of whole updates on one batch that is used again and again."""
        return self.rates(lambda steps: train_on(step, repeat(batch), steps), step.accelerator, repeats)


def train_on(step: TrainStep, batches: Iterator[Batch], steps: int) -> int:
    """Take this many updates without waiting for the device; return the number of their images."""
    tally, losses = Tally(step.accelerator), LossRing(max(1, steps), step.accelerator, 0)
    for number in range(steps):
        step(number, batches, tally, losses)
    return steps * step.global_batch


def rate_columns(rates: list[float]) -> Row:
    """The columns of a rate: median, spread and number of windows."""
    return {**spread("images/s", rates, 1), "n": len(rates)}


def memory_columns(accelerator: Accelerator) -> Row:
    """The columns of device memory, which are "-" on a CPU."""
    used = accelerator.memory()
    if used is None:
        return {"peak in tensors, GiB": "-", "held by others, GiB": "-"}
    return {"peak in tensors, GiB": round(used.peak / 2**30, 2), "held by others, GiB": round(used.others / 2**30, 2)}


Rows = Iterator[tuple[str, Row]]
"""The type that a part yields: the name of a table and a row of it, as soon as it is measured."""
