"""The parts of a run, built from a setup. Nothing here decides; it connects."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shards.shardset import ShardSet, Split
from train.accelerator import Accelerator
from train.augment import Crop
from train.batch import Plan, TrainPlans, ValidationPlans
from train.compiled import Compilable
from train.decoded import Decoded
from train.evaluate import Evaluator
from train.feed import Feed
from train.head import Matched
from train.mix import Mixing
from train.model import Built, build_model
from train.noise import HeadDropout
from train.normalisation import normalisation_of
from train.normalise import Normalise
from train.norms import RunningStatistics
from train.numerics import Numerics, load_scaler
from train.optim import Schedule, WeightAverage, begin_momentum, kept_quantities, load_optimizer, make_optimizer
from train.pipeline import ImagePipeline
from train.policy import Policy
from train.resume import Resumed
from train.sections import Evaluate, Runtime
from train.setup import TRAIN, VALIDATION, Setup
from train.states import load_network
from train.step import TrainStep
from train.stochastic_depth import StochasticDepth
from train.world import World


@dataclass(frozen=True)
class Place:
    """Where a run happens: this rank, its device, its CPU threads."""

    world: World
    accelerator: Accelerator
    threads: int

    @classmethod
    @contextmanager
    def joined(cls, runtime: Runtime) -> Iterator["Place"]:
        """The place of this process, together with the other ranks until the block ends."""
        place = cls.find(runtime)
        with place.world.joined(place.accelerator.backend, runtime.timeout_minutes):
            yield place

    @classmethod
    def find(cls, runtime: Runtime) -> "Place":
        """The place of this process. Raises UsageError when the device that is asked for is not there."""
        world = World.from_environment()
        accelerator = Accelerator.choose(runtime.device, world.local_rank, world.local_size)
        accelerator.refuse(runtime.precision)
        if runtime.layout != "auto":
            accelerator.layout = runtime.layout
        if runtime.deterministic:
            accelerator.make_deterministic()
        return cls(world, accelerator, world.threads(runtime.threads))

    def pipeline(self, split: Split, max_batch: int, runtime: Runtime, decoded: Decoded | None) -> ImagePipeline[Plan]:
        """A pipeline over a split, which takes its pixels from the `decoded` cache where there is one."""
        decode = self.accelerator.decode_placement(runtime.decode)
        return ImagePipeline(split, max_batch, self.accelerator, threads=self.threads, decode=decode, decoded=decoded)


def build_step(setup: Setup, place: Place, numerics: Numerics, built: Built) -> TrainStep:
    """The training step around a network, with the states of a checkpoint where the setup resumes."""
    recipe, world, accelerator = setup.recipe, place.world, place.accelerator
    train, network = recipe.train, built.network
    accelerator.allow_tf32(allowed=not numerics.exact)
    accelerator.place(network, numerics.master_dtype)
    half_life = recipe.optim.ema_half_life
    average = WeightAverage(network, half_life, train.global_batch) if half_life else None
    optimizer, scaler = make_optimizer(network, recipe.optim), numerics.scaler()
    groups = setup.steps.groups_of(world.size, world.rank)
    momentum, weight = recipe.model.batch_norm_momentum, len(groups) / setup.steps.groups
    compilable = Compilable(network)
    step = TrainStep(
        network=network,
        compilable=compilable,
        model=compilable,
        optimizer=optimizer,
        scaler=scaler,
        schedule=Schedule.of(recipe, setup.steps.samples),
        normalise=Normalise(*built.normalisation, accelerator, numerics.master_dtype),
        depth=StochasticDepth(network.drop_rates(recipe.model.drop_connect), train.seed, accelerator),
        dropout=HeadDropout(recipe.model.dropout, network.features, train.seed, accelerator),
        statistics=RunningStatistics(network, average.network if average else None, momentum, len(groups), weight),
        average=average,
        accelerator=accelerator,
        numerics=numerics,
        world=world,
        micro_batches=len(groups),
        global_batch=train.global_batch,
        label_smoothing=train.label_smoothing,
    )
    if setup.resumed:
        restore(step, setup.resumed)
    if scaler.is_enabled():
        begin_momentum(optimizer)
    step.model = world.wrap(compilable, recipe.runtime.bucket_mib)
    return step


def restore(step: TrainStep, resumed: Resumed) -> None:
    """Load the states of a checkpoint. Raises DataError when they do not fit the step."""
    state = resumed.state
    with resumed.explaining():
        load_network(step.network, state["model"], "model")
        load_optimizer(step.optimizer, state["optimizer"], resumed.progress.step)
        _refuse_lost_quantities(step, resumed)
        load_scaler(step.scaler, state["scaler"])
        if step.average is not None:
            load_network(step.average.network, state["average"] or state["model"], "average")


def _refuse_lost_quantities(step: TrainStep, resumed: Resumed) -> None:
    """Raise ValueError where there are none, although there were updates; in fp16 each may have been skipped."""
    skipped = bool(resumed.state["scaler"])
    if resumed.progress.step and kept_quantities(step.optimizer) and not step.optimizer.state and not skipped:
        raise ValueError(f"optimizer.state is empty after {resumed.progress.step} updates")


def state_of(step: TrainStep) -> dict[str, Any]:
    """The states that `restore` loads: tensors and plain values."""
    return {
        "model": step.network.state_dict(),
        "average": step.average.network.state_dict() if step.average else {},
        "optimizer": step.optimizer.state_dict(),
        "scaler": step.scaler.state_dict(),
    }


def build_network(setup: Setup) -> Built:
    """The recipe's model with its first weights; those of a checkpoint are loaded later, into any."""
    model, seed = setup.recipe.model, setup.recipe.train.seed
    init = "random" if setup.resumed else model.init
    classes, weights = setup.shards.class_ids, setup.request.weights
    matched = Matched.of(classes) if model.head == "matched" and init != "random" else None
    return build_model(model.name, len(classes), init=init, weights=weights, seed=seed, matched=matched)


def build_plans(setup: Setup) -> TrainPlans:
    """The plans of all training micro-batches."""
    recipe, split = setup.recipe, setup.shards.split(TRAIN)
    augment, total = recipe.augment, setup.steps.ends(recipe.train.epochs - 1)
    return TrainPlans(
        split=split,
        order=setup.order(split),
        steps=setup.steps,
        crop=Crop(augment.crop_area, augment.crop_ratio, augment.flip),
        sizes=tuple((math.ceil(share * total), size) for share, size in augment.stages),
        mixing=Mixing(augment.mixup, augment.cutmix),
        policy=Policy.of(augment, normalisation_of(recipe.model.name).mean),
    )


def build_feed(setup: Setup, place: Place, first_step: int, decoded: Decoded | None = None) -> Feed:
    """The training batches of this rank from `first_step` to the end of the run."""
    plans, recipe = build_plans(setup), setup.recipe
    mine = setup.steps.groups_of(place.world.size, place.world.rank)
    stream = plans.stream(first_step, setup.steps.ends(recipe.train.epochs - 1), mine)
    pipeline = place.pipeline(plans.split, recipe.train.group, recipe.runtime, decoded)
    return Feed(pipeline, stream, place.accelerator)


def build_evaluator(
    shards: ShardSet,
    settings: Evaluate,
    runtime: Runtime,
    normalise: Normalise,
    place: Place,
    numerics: Numerics,
    decoded: Decoded | None = None,
) -> Evaluator:
    """The evaluator of a shard set's validation split."""
    split = shards.split(VALIDATION)
    plans = ValidationPlans(split, settings.batch, settings.crop, settings.size)
    pipeline = place.pipeline(split, settings.batch, runtime, decoded)
    return Evaluator(plans, pipeline, normalise, place.accelerator, place.world, numerics, flip=settings.flip)
