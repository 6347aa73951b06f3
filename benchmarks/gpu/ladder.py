"""From decoding alone to the whole run, a rung at a time: where images a second are lost.

decode: bytes to pixels, images left where the decoder puts them; + copy: uint8 pixels on the device; + resize: the
views at the training size; + feed: thread, queue and normalisation, which is all that the step gets; R_synth: updates
on one resident batch; R_real: updates on real batches, windows of the two in turns.
"""

import os
from collections.abc import Iterator
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

from nvidia.dali import Pipeline, fn, types

from benchmarks.gpu.setting import Setting, memory_columns, rate_columns
from benchmarks.harness.tables import Row
from headrace.train.input.assembly import Input
from headrace.train.input.decode import dali
from headrace.train.input.decode.regions import seen
from headrace.train.input.feed import Feed
from headrace.train.input.plans import Plan, TrainPlans
from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.run.assemble import build_feed, build_plans
from headrace.train.step.update import TrainStep

_FAR = 1_000_000  # steps: a stream that does not end


def run(setting: Setting) -> dict[str, list[Row]]:
    """One table a decoder, with a column for the number of threads."""
    cores = len(os.sched_getaffinity(0))
    threads = [1] if setting.dry else sorted({max(1, cores // 4), max(1, cores // 2), cores})
    setup = setting.setup()
    place, step = setting.step(setup)
    step.warm_up(setting.resident(step, setting.batch, setting.size))
    plans = build_plans(setup)
    input_rows = [
        {"decode": decode, "threads": number, "rung": rung, **rate_columns(rates)}
        for decode in setting.decoders
        for number in threads
        for rung, rates in _rungs(setting, plans, step, decode, number)
    ]
    whole = []
    for decode in setting.decoders:
        for number in threads:
            place.accelerator.release()
            whole.append({"decode": decode, "threads": number, **_whole(setting, step, decode, number)})
    return {"input alone": input_rows, "with the step": whole}


def _rungs(
    setting: Setting, plans: TrainPlans, step: TrainStep, decode: str, threads: int
) -> Iterator[tuple[str, list[float]]]:
    accelerator, stream = step.accelerator, plans.stream(0, _FAR, range(1))
    copied = accelerator.either(cpu=False, gpu=decode != "mixed")
    for rung in ("decode", "copy", "resize") if copied else ("decode", "resize"):
        pipeline = _graph(plans, stream, rung, decode, threads, accelerator)
        pipeline.run()
        name = rung if rung == "decode" else f"+ {rung}"
        yield name, setting.rates(partial(_drained, pipeline, setting.batch), accelerator)
    made = Input(plans.split, setting.batch, Place(World(), accelerator, threads), decode=decode)
    with made.feed(stream) as feed:
        next(feed)
        yield "+ feed", setting.rates(lambda steps: _fed(feed, step, steps), accelerator)


def _drained(pipeline: Any, batch: int, steps: int) -> int:
    for _ in range(steps):
        pipeline.run()  # no stream is given, so the host waits for each batch
    return steps * batch


def _fed(feed: Feed, step: TrainStep, steps: int) -> int:
    return sum(len(step.normalise(batch.images)) for batch in islice(feed, steps))


def _graph(
    plans: TrainPlans, stream: Iterator[Plan], rung: str, decode: str, threads: int, accelerator: Accelerator
) -> Any:
    def source() -> tuple[Any, ...]:
        plan, split = next(stream), plans.split
        ids, views, size = plan.wanted
        regions = seen(views, split.heights[ids], split.widths[ids])
        return split.jpegs(ids), *dali.arguments(views, regions, size)

    group, device = plans.steps.group, accelerator.ordinal
    if rung == "resize":
        return dali.viewing(source, group, threads, device=device, decode=decode)
    alone = rung == "decode" and decode == "cpu"
    pipeline = Pipeline(group, threads, device_id=None if alone else device, prefetch_queue_depth=2)
    with pipeline:
        jpegs = fn.external_source(lambda: source()[0], batch=True, dtype=types.UINT8, ndim=1)
        images = fn.decoders.image(jpegs, device=decode, output_type=types.RGB)
        pipeline.set_outputs(images if rung == "decode" else images.gpu())
    pipeline.build()
    return pipeline


def _whole(setting: Setting, step: TrainStep, decode: str, threads: int) -> Row:
    setup = setting.setup(f"runtime.decode={decode}", f"runtime.threads={threads}")
    place = Place.find(setup.recipe.runtime)
    resident = setting.resident(step, setting.batch, setting.size)
    real, synthetic = [], []
    with build_feed(setup, place, 0) as feed:
        for _ in range(setting.repeats):
            synthetic += setting.on_resident(step, resident, 1)
            real.append(setting.on_real(step, feed))
    ratios = [one / other for one, other in zip(real, synthetic, strict=True)]
    return {
        "R_synth, median": round(median(synthetic), 1),
        "R_real, median": round(median(real), 1),
        "R_real, min to max": f"{min(real):.1f} to {max(real):.1f}",
        "R_real / R_synth, median": round(median(ratios), 4),
        "min to max": f"{min(ratios):.4f} to {max(ratios):.4f}",
        "n": len(ratios),
        **memory_columns(step.accelerator),
    }
