"""The user's job, built as a run builds it, and cut so that it can be measured in turns."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from headrace.shards.headers import refuse_unsafe
from headrace.shards.manifest import TRAIN
from headrace.shards.order import Steps
from headrace.train.doctor.asked import Asked
from headrace.train.doctor.job import Job
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

_TRIED = 8  # images of the pass that tells how long an image takes


@contextmanager
def opened(asked: Asked, most: float) -> Iterator[Job]:
    """The job on this rank, together with the other ranks until the block ends, in steps of at most so many seconds.

    Nothing of it is written or downloaded.

    Raises what `headrace.train.run.resolve.resolve` raises, and DataError for images that must not be decoded.
    """
    world = World.from_environment()
    setup = resolve(asked.request(), world.size)
    if world.local_rank == 0:
        refuse_unsafe(setup.shards)
    with entered(setup.recipe.runtime) as place:
        built = build_network(setup)
        cut, shape_remarks = _cut(setup, place, built, most)
        numerics = build_numerics(cut, place, built)
        round_products(numerics, place.accelerator)
        step = build_step(cut, place, numerics, built)
        plans, stage_remarks = _last_stage(build_plans(cut))
        resident = resident_batch(cut.steps.group, plans.size_at(0), place.accelerator)
        compile_step(step, cut.recipe.runtime.compile, [resident])
        step.warm_up(resident)
        decoded, cache_remarks = _cache(cut)
        yield Job(asked, cut, place, step, plans, resident, decoded, shape_remarks + stage_remarks + cache_remarks)


def _cut(setup: Setup, place: Place, built: Built, most: float) -> tuple[Setup, tuple[str, ...]]:
    """The same job with steps of at most so many seconds, and what there is to say of it."""
    own = Shape(setup.steps.group, setup.steps.groups)
    seconds = place.accelerator.either(cpu=partial(_image_seconds, setup, place, built), gpu=partial(float, 0))()
    shape = fit(own, place.world.size, float(place.world.from_main(seconds)) * own.group, most)
    if shape == own:
        return setup, ()
    batch = shape.group * shape.groups
    train = setup.recipe.train.model_copy(update={"global_batch": batch, "group": shape.group})
    recipe = setup.recipe.model_copy(update={"train": train})
    remark = (
        f"measured in steps of {shape.groups} x {shape.group} images instead of {own.groups} x {own.group}, which take "
        f"longer than {most:g} s"
    )
    return replace(setup, recipe=recipe, steps=Steps(setup.steps.samples, batch, shape.group)), (remark,)


def _image_seconds(setup: Setup, place: Place, built: Built) -> float:
    """Roughly how long an image takes on a CPU, forward and backward. On a GPU a step is short, and nobody asks."""
    count, size = min(_TRIED, setup.steps.group), setup.recipe.augment.stages[-1][1]
    step = build_step(setup, place, Numerics("fp32"), replace(built, network=copy.deepcopy(built.network)))
    resident = resident_batch(count, size, place.accelerator)
    step.warm_up(resident, 1, together=False)
    began = time.perf_counter()
    step.warm_up(resident, 1, together=False)
    return (time.perf_counter() - began) / count


def _last_stage(plans: TrainPlans) -> tuple[TrainPlans, tuple[str, ...]]:
    """The plans at the size that a run ends with, from the first step on."""
    sides = [side for _, side in plans.sizes]
    if len(sides) == 1:
        return plans, ()
    others = ", ".join(str(side) for side in sides[:-1])
    remark = (
        f"measured at {sides[-1]} px, which the run ends with; at {others} px steps are shorter, and the input's share "
        "is larger"
    )
    return replace(plans, sizes=((0, sides[-1]),)), (remark,)


def _cache(setup: Setup) -> tuple[Decoded | None, tuple[str, ...]]:
    """The decoded training split where it is there; nothing is decoded for it."""
    files = [file for file in setup.caches if file.split == TRAIN]
    if not files:
        return None, ()
    if files[0].ready:
        return Decoded(files[0], setup.shards), ()
    name = Path(files[0].path).name
    return None, (f"measured without runtime.cache=decoded: {name} is not made yet, and nothing is written here",)
