"""Measures the input alone with the JPEG decoder in each place and each way, and compares its pixels with the CPU's.

As Headrace sets it, nvJPEG smooths colour like libjpeg, and allocates more memory when needed; DALI's own defaults are
measured too. Equal pixels would mean that the GPU decoded nothing.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, memory_columns, rate_columns
from benchmarks.harness.tables import Row
from headrace.train.input.assembly import Input
from headrace.train.input.decode import dali
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.run.assemble import build_plans
from headrace.train.run.resolve import Setup

_SECONDS = 30  # for each way
_WINDOW = 40  # batches
_WAYS: dict[str, dict[str, Any]] = {
    "mixed": {},
    "mixed, colour repeated (DALI's own)": {"jpeg_fancy_upsampling": False},
    "mixed, hardware decoder unused": {"hw_decoder_load": 0.0},
    "mixed, hardware decoder alone": {"hw_decoder_load": 1.0},
    "mixed, memory in advance (DALI's own)": {"device_memory_padding": 16 << 20, "host_memory_padding": 8 << 20},
}


def run(setting: Setting) -> Rows:
    """A row for each way to decode."""
    setup = setting.setup()
    place = Place.find(setup.recipe.runtime)
    with torch.no_grad():
        wanted = _first(setup, Place(World(), Accelerator(None), place.threads))
        for way in ("cpu",) if setting.dry else ("cpu", *_WAYS):
            if not setting.has_time(_SECONDS):
                yield LEFT_OUT, {"decoder": way}
                continue
            place.accelerator.release()
            with mock.patch.dict(dali._ON_GPU, _WAYS.get(way, {})):  # noqa: SLF001  what is compared
                yield "the input alone", {"decoder": way, **_measured(setting, setup, place, way, wanted)}


def _first(setup: Setup, place: Place) -> Tensor:
    """The pixels of the first group on the CPU, as training there would see them."""
    plans = build_plans(setup)
    with Input(plans.split, setup.steps.group, place, decode="cpu") as made:
        (_, images), *_ = made.images(plans.stream(0, 1, range(1)))
        return images.clone()


def _measured(setting: Setting, setup: Setup, place: Place, way: str, wanted: Tensor) -> Row:
    plans = build_plans(setup)
    window = 1 if setting.dry else _WINDOW
    stream = plans.stream(0, setup.steps.ends(setup.recipe.train.epochs - 1), range(1))
    made = Input(plans.split, setup.steps.group, place, decode="cpu" if way == "cpu" else "mixed")
    images = made.images(stream)
    _, first = next(images)
    place.accelerator.synchronize()
    gaps = (first.cpu().int() - wanted.int()).abs()
    _take(images, place.accelerator, window)
    rates = [_take(images, place.accelerator, window) for _ in range(setting.repeats)]
    return {
        **rate_columns(rates),
        "mean difference from the CPU": round(float(gaps.float().mean()), 3),
        "largest": int(gaps.max()),
        "decoded where it should be": way == "cpu" or int(gaps.max()) > 0,
        **memory_columns(place.accelerator),
    }


def _take(images: Iterator[tuple[Plan, Tensor]], accelerator: Accelerator, batches: int) -> float:
    """Take this many batches; return the images per second."""
    began = time.perf_counter()
    count = sum(len(plan.ids) for plan, _ in islice(images, batches))
    accelerator.synchronize()
    return count / (time.perf_counter() - began)
