"""Builds the parts of a training run, such as the step and the input, from a checked request, and connects them."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from headrace.shards.manifest import TRAIN, VALIDATION
from headrace.shards.prepared import Prepared
from headrace.train.checkpoint.files import best_before
from headrace.train.checkpoint.restore import restore, state_of
from headrace.train.checkpoint.saver import Saver
from headrace.train.evaluate.predicted import Source, predictions_of
from headrace.train.evaluate.scores import Scores
from headrace.train.input.assembly import Input
from headrace.train.input.batch import resident_batch
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.feed import Feed
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import TrainPlans
from headrace.train.input.read_ahead import read_ahead
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.model.build import Built, build_model
from headrace.train.model.matched_head import Matched
from headrace.train.model.names import family_of
from headrace.train.model.running_statistics import RunningStatistics
from headrace.train.model.same_padding import pad_weights
from headrace.train.model.timm_fitness import refuse_unfit
from headrace.train.model.timm_network import TimmNetwork
from headrace.train.record import predictions
from headrace.train.record.attempts import Attempt
from headrace.train.record.moments import Saved
from headrace.train.run.loop import Keeper
from headrace.train.run.resolve import Setup
from headrace.train.step.average import WeightAverage
from headrace.train.step.choose_precision import choose_numerics
from headrace.train.step.compiled import Compilable
from headrace.train.step.freezing import freeze, frozen_steps
from headrace.train.step.optimizer import begin_momentum, make_optimizer
from headrace.train.step.schedule import Schedule
from headrace.train.step.update import TrainStep


def build_numerics(setup: Setup, place: Place, built: Built) -> Numerics:
    """Return the number formats that the recipe names.

    "auto" means the formats of the resumed checkpoint or, in a new run, the fastest. The fastest formats are found by
    timing all candidates on copies of the network. Raises UsageError if the resumed checkpoint has a precision that
    this device does not support.
    """
    runtime, group, side = setup.recipe.runtime, setup.recipe.train.group, setup.recipe.augment.stages[-1][1]
    wanted: str = runtime.precision
    if wanted == "auto" and setup.resumed:
        wanted = setup.resumed.precision_on(place.accelerator)

    def trial(numerics: Numerics) -> TrainStep:
        return build_step(setup, place, numerics, replace(built, network=copy.deepcopy(built.network)))

    resident = partial(resident_batch, group, side, place.accelerator)
    return choose_numerics(wanted, place, trial, resident, deterministic=runtime.deterministic)


def build_step(setup: Setup, place: Place, numerics: Numerics, built: Built) -> TrainStep:
    """Build the training step for a network; if the run resumes from a checkpoint, load the checkpoint's states."""
    recipe, world, accelerator = setup.recipe, place.world, place.accelerator
    train, network = recipe.train, built.network
    accelerator.place(network, numerics.master_dtype)
    pad_weights(network, recipe.runtime.padding)
    half_life = recipe.optim.ema_half_life
    average = WeightAverage(network, half_life, train.global_batch) if half_life else None
    optimizer, scaler = make_optimizer(network, recipe.optim), numerics.scaler()
    groups = setup.steps.groups_of(world.size, world.rank)
    momentum, weight = recipe.model.batch_norm_momentum, len(groups) / setup.steps.groups
    normalise = Normalise(*setup.normalisation, accelerator, numerics.master_dtype)
    compilable = Compilable(network, layout=accelerator.layout, normalise=normalise)
    step = TrainStep(
        network=network,
        compilable=compilable,
        model=compilable,
        optimizer=optimizer,
        scaler=scaler,
        schedule=Schedule.of(recipe, setup.steps.samples),
        normalise=normalise,
        noise=network.noise(recipe.model, train.seed, accelerator),
        statistics=RunningStatistics(network, average.network if average else None, momentum, len(groups), weight),
        average=average,
        accelerator=accelerator,
        numerics=numerics,
        world=world,
        micro_batches=len(groups),
        global_batch=train.global_batch,
        label_smoothing=train.label_smoothing,
        bucket_mib=recipe.runtime.bucket_mib,
        thaws_at=frozen_steps(recipe, setup.steps.samples),
    )
    if setup.resumed:
        restore(step, setup.resumed)
    step.frozen = (setup.resumed.progress.step if setup.resumed else 0) < step.thaws_at
    if step.frozen:
        freeze(network, frozen=True)
    if scaler.is_enabled():
        begin_momentum(optimizer)
    step.model = world.wrap(compilable, step.bucket_mib)
    return step


def build_network(setup: Setup) -> Built:
    """Build the recipe's model with its initial weights; `build_step` loads the weights of a resumed checkpoint."""
    model, seed = setup.recipe.model, setup.recipe.train.seed
    init = "random" if setup.resumed else model.init
    classes, weights = setup.shards.class_ids, setup.request.weights
    matched = Matched.of(classes) if model.head == "matched" and init != "random" else None
    built = build_model(model.name, len(classes), init=init, weights=weights, seed=seed, matched=matched, model=model)
    if isinstance(built.network, TimmNetwork):
        sides, group = [side for _, side in setup.recipe.augment.stages], setup.recipe.train.group
        refuse_unfit(built.network, sides, group, noisy=bool(model.dropout or model.drop_connect))
    return built


def build_plans(setup: Setup) -> TrainPlans:
    """Build the plans of all training micro-batches: a plan tells which samples to read and how to augment them."""
    recipe, split = setup.recipe, setup.shards.split(TRAIN)
    augment, total = recipe.augment, setup.steps.ends(recipe.train.epochs - 1)
    sizes = tuple((math.ceil(share * total), size) for share, size in augment.stages)
    order = setup.order(split)
    if order.open_shards is not None:
        split.keep_open(order.open_shards)
    return TrainPlans.of(augment, split, order, setup.steps, sizes, setup.normalisation.mean)


def build_feed(setup: Setup, place: Place, first_step: int, decoded: Decoded | None = None) -> Feed:
    """Start the input pipeline of this rank's training batches, from `first_step` to the end of the run."""
    plans, recipe = build_plans(setup), setup.recipe
    mine = setup.steps.groups_of(place.world.size, place.world.rank)
    last_step = setup.steps.ends(recipe.train.epochs - 1)
    read_ahead(plans, place.world, first_step, last_step)
    stream = plans.stream(first_step, last_step, mine)
    interpolation = recipe.augment.interpolation
    made = Input(
        plans.split, recipe.train.group, place, decode=setup.decode, decoded=decoded, interpolation=interpolation
    )
    return made.feed(stream)


def build_saver(setup: Setup, place: Place, step: TrainStep, attempt: Attempt) -> Saver:
    """Build the object that saves the checkpoints of the run."""
    resumed = setup.resumed
    made = setup.shards.manifest.made
    about = {
        "recipe": setup.recipe.model_dump(mode="json", exclude_none=True),
        "precision": step.numerics.precision,
        "network": {"family": family_of(setup.recipe.model.name)},
        "mean": list(setup.normalisation.mean),
        "std": list(setup.normalisation.std),
        "classes": list(setup.shards.class_ids),
        "class_names": list(setup.shards.class_names),
        "size": setup.recipe.evaluate.size,
        "crop": setup.recipe.evaluate.crop,
        "decode": setup.on(place.accelerator).decode,
        "shard_set": setup.shards.digest,
        **({} if made is None else {"prepared": Prepared.among(made[0])}),
        "world": {"processes": place.world.size, "threads": place.threads},
    }
    states = partial(state_of, step)
    best = best_before(setup.out, resumed.path, resumed.best) if resumed else ""
    runtime = setup.recipe.runtime
    return Saver(
        out=setup.out,
        keep=runtime.keep_checkpoints,
        about=about,
        states=states,
        writes=place.world.is_main,
        accelerator=place.accelerator,
        beside_mb=runtime.async_save_mb,
        attempt=attempt,
        best=best,
    )


def build_keeper(setup: Setup, place: Place, step: TrainStep, attempt: Attempt) -> Keeper:
    """Return a function that collects the predictions of an evaluation over all ranks.

    Every rank calls the returned function with its scores. That call returns a second function, which writes the
    predictions to validation.parquet in the run folder. Rank 0 calls the second function after the evaluated weights
    are saved, perhaps some steps later.
    """

    def keep(scores: Scores) -> Callable[[Saved], None]:
        rows = scores.total(place.world)

        def write(saved: Saved) -> None:
            attempt.look()
            source = Source(saved.sha256, saved.step, step.average is not None)
            predictions_of(rows, setup.shards, VALIDATION, source).write(setup.out / predictions.NAME)

        return write

    return keep
