"""Builds a training job as a run would, with shorter steps, because the job is measured for a few seconds at a time."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import gcd
from pathlib import Path

from headrace.shards.headers import refuse_unsafe
from headrace.shards.manifest import TRAIN
from headrace.shards.order import Steps
from headrace.train.doctor.asked import Asked
from headrace.train.doctor.job import Job
from headrace.train.doctor.network import stage_some
from headrace.train.doctor.shape import Shape, fit
from headrace.train.input.batch import resident_batch
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.plans import TrainPlans
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.model.build import Built
from headrace.train.run.assemble import build_network, build_numerics, build_plans, build_step
from headrace.train.run.process import entered, round_products
from headrace.train.run.resolve import Setup, resolve
from headrace.train.step.compilation import compile_step

_TRIED = 8  # images in the pass that measures the time of an image


@contextmanager
def opened(asked: Asked, most: float) -> Iterator[Job]:
    """Build the job on this rank, connected to the other ranks, and yield the job for use in this context.

    The job's steps take at most `most` seconds. Nothing is downloaded or written, except that tars of a shard set at a
    URL are staged.

    Raises the errors of `headrace.train.run.resolve.resolve`, and DataError for images that are unsafe to decode.
    """
    world = World.from_environment()
    setup = _thawed(resolve(asked.request(), world.size))
    if world.local_rank == 0:
        refuse_unsafe(setup.shards)
    with entered(setup.recipe.runtime) as place:
        built = build_network(setup)
        cut, shape_remarks = _cut(setup, place, built, most)
        numerics = build_numerics(cut, place, built)
        round_products(numerics, place.accelerator)
        step = build_step(cut, place, numerics, built)
        plans, size_remarks = _last_stage(build_plans(cut))
        span = stage_some(plans, world)
        resident = resident_batch(cut.steps.group, plans.size_at(0), place.accelerator)
        compile_step(step, cut.recipe.runtime.compile, [resident])
        step.warm_up(resident)
        decoded, cache_remarks = _cache(cut)
        remarks = shape_remarks + size_remarks + cache_remarks
        yield Job(asked, cut, place, step, plans, resident, decoded, remarks, span)


def _thawed(setup: Setup) -> Setup:
    """Return the job without its first phase, which trains only the classifier: steps of that phase take less time."""
    model = setup.recipe.model.model_copy(update={"freeze_epochs": 0.0})
    return replace(setup, recipe=setup.recipe.model_copy(update={"model": model}))


def _cut(setup: Setup, place: Place, built: Built, most: float) -> tuple[Setup, tuple[str, ...]]:
    """Return the job with steps of at most `most` seconds, and remarks for the user if the steps were shortened."""
    own = Shape(setup.steps.group, setup.steps.groups)
    seconds = place.accelerator.either(cpu=partial(_image_seconds, setup, place, built), gpu=partial(float, 0))()
    shape = fit(own, place.world.size, float(place.world.from_main(seconds)) * own.group, most)
    if shape == own:
        return setup, ()
    batch = shape.group * shape.groups
    partitions = gcd(setup.recipe.train.partitions, shape.groups)
    train = setup.recipe.train.model_copy(
        update={"global_batch": batch, "group": shape.group, "partitions": partitions}
    )
    recipe = setup.recipe.model_copy(update={"train": train})
    remark = (
        f"measured in steps of {shape.groups} x {shape.group} images, because steps of {own.groups} x {own.group} take "
        f"longer than {most:g} s"
    )
    return replace(setup, recipe=recipe, steps=Steps(setup.steps.samples, batch, shape.group)), (remark,)


def _image_seconds(setup: Setup, place: Place, built: Built) -> float:
    """Measure roughly the seconds that a CPU takes for the forward and the backward pass of one image.

    A GPU needs no such estimate, because its steps are short.
    """
    count, size = min(_TRIED, setup.steps.group), setup.recipe.augment.stages[-1][1]
    step = build_step(setup, place, Numerics("fp32"), replace(built, network=copy.deepcopy(built.network)))
    resident = resident_batch(count, size, place.accelerator)
    step.warm_up(resident, 1, together=False)
    began = time.perf_counter()
    step.warm_up(resident, 1, together=False)
    return (time.perf_counter() - began) / count


def _last_stage(plans: TrainPlans) -> tuple[TrainPlans, tuple[str, ...]]:
    """Return the plans with all images at the size with which the run ends, and remarks for the user."""
    sides = [side for _, side in plans.sizes]
    if len(sides) == 1:
        return plans, ()
    others = ", ".join(str(side) for side in sides[:-1])
    remark = (
        f"measured at {sides[-1]} px, with which the run ends; at {others} px steps are shorter, and the input takes a "
        "larger share"
    )
    return replace(plans, sizes=((0, sides[-1]),)), (remark,)


def _cache(setup: Setup) -> tuple[Decoded | None, tuple[str, ...]]:
    """Return the cache of the decoded training split if it exists, and remarks for the user if it is missing."""
    files = [file for file in setup.caches if file.split == TRAIN]
    if not files:
        return None, ()
    if files[0].ready:
        return Decoded(files[0], setup.shards), ()
    name = Path(files[0].path).name
    return None, (f"measured without runtime.cache=decoded: {name} does not exist yet, and doctor writes nothing",)
