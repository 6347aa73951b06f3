"""Measures where images per second are lost, with the ladder of `headrace doctor`, by decoder and number of threads.

docs/doctor.md says what each rung runs and how to read its figures. The turns of all rungs alternate. R_synth is
measured before and after R_real in each round; the ratio of the two shows its own spread.
"""

import os
from contextlib import ExitStack, closing

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, memory_columns
from benchmarks.harness.tables import Row, spread
from headrace.train.doctor.asked import Asked, Kind, Part
from headrace.train.doctor.job import Job
from headrace.train.doctor.ladder import climb
from headrace.train.doctor.measured import Measured
from headrace.train.doctor.page import LABELS
from headrace.train.doctor.reading import Reading
from headrace.train.doctor.rungs import Rungs
from headrace.train.doctor.shape import Budget
from headrace.train.machine.place import Place
from headrace.train.run.assemble import build_plans
from headrace.train.run.resolve import Setup
from headrace.train.step.update import TrainStep

_SECONDS = 120  # for each decoder and number of threads


def run(setting: Setting) -> Rows:
    """Yield the rows of two tables, rungs and ratios, with columns for the decoder and the number of threads."""
    cores = len(os.sched_getaffinity(0))
    threads = [1] if setting.dry else sorted({max(1, cores // 4), max(1, cores // 2), cores})
    place, step = setting.step(setting.setup())
    step.warm_up(setting.resident(step, setting.batch, setting.size))
    for decode in setting.decoders:
        for number in threads:
            if not setting.has_time(_SECONDS):
                yield LEFT_OUT, {"decode": decode, "threads": number}
                continue
            place.accelerator.release()
            setup = setting.setup(f"runtime.decode={decode}", f"runtime.threads={number}")
            measured = _climbed(setting, setup, step)
            head: Row = {"decode": decode, "threads": number}
            yield "ratios", {**head, **_ratio_row(measured), **memory_columns(step.accelerator)}
            for row in _rung_rows(measured):
                yield "rungs", {**head, **row}


def _climbed(setting: Setting, setup: Setup, step: TrainStep) -> Measured:
    place, plans = Place.find(setup.recipe.runtime), build_plans(setup)
    resident = setting.resident(step, setting.batch, setting.size)
    with ExitStack() as stack:
        stack.enter_context(closing(plans.split))
        job = Job(Asked(setting.shards), setup, place, step, plans, resident, None, ())
        measured = climb(job, Rungs(job, stack), Part(Kind.LADDER, Budget(0.5) if setting.dry else Budget()))
    if measured is None:
        raise RuntimeError("the benchmark is one process, and its rank is not the main one")
    return measured


def _rung_rows(measured: Measured) -> list[Row]:
    return [
        {
            "rung": label,
            **spread("images/s", timed.rates, 1),
            "CPU microseconds an image": round(timed.cpu_microseconds, 1),
            "n": len(timed.rates),
        }
        for rung, label in LABELS.items()
        if (timed := measured.rungs.get(rung)) is not None
    ]


def _ratio_row(measured: Measured) -> Row:
    reading = Reading(measured)
    return {
        "R_real, images/s": round(reading.real, 1),
        **spread("R_real / R_synth", reading.ratios, 4),
        **spread("R_synth against itself", reading.itself, 4, "its min to max"),
        "waited": round(reading.stall, 4),
        "n": len(reading.ratios),
    }
