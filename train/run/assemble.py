"""The parts of a run, built from a setup. Nothing here decides; it connects."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from headrace.shards.manifest import TRAIN, VALIDATION
from headrace.shards.prepared import Prepared
from headrace.train.checkpoint.fields import NETWORK
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
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.model.build import Built, build_model
from headrace.train.model.dropout import HeadDropout
from headrace.train.model.matched_head import Matched
from headrace.train.model.running_statistics import RunningStatistics
from headrace.train.model.same_padding import pad_weights
from headrace.train.model.stochastic_depth import StochasticDepth
from headrace.train.record import predictions
from headrace.train.record.moments import Saved
from headrace.train.run.resolve import Setup
from headrace.train.step.average import WeightAverage
from headrace.train.step.choose_precision import choose_numerics
from headrace.train.step.compiled import Compilable
from headrace.train.step.optimizer import begin_momentum, make_optimizer
from headrace.train.step.schedule import Schedule
from headrace.train.step.update import TrainStep


def build_numerics(setup: Setup, place: Place, built: Built) -> Numerics:
    """The number formats of the run: as the recipe says, or for "auto" the checkpoint's, or the fastest here.

    Candidates are timed around copies of the network. Raises UsageError for a checkpoint in a format that this device
    does not have.
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
    """The training step around a network, with the states of a checkpoint where the setup resumes."""
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
    sizes = tuple((math.ceil(share * total), size) for share, size in augment.stages)
    order = setup.order(split)
    if order.windows is not None:
        split.keep_open(order.windows.open_shards)
    return TrainPlans.of(augment, split, order, setup.steps, sizes, setup.normalisation.mean)


def build_feed(setup: Setup, place: Place, first_step: int, decoded: Decoded | None = None) -> Feed:
    """The training batches of this rank from `first_step` to the end of the run."""
    plans, recipe = build_plans(setup), setup.recipe
    mine = setup.steps.groups_of(place.world.size, place.world.rank)
    stream = plans.stream(first_step, setup.steps.ends(recipe.train.epochs - 1), mine)
    made = Input(plans.split, recipe.train.group, place, decode=setup.decode, decoded=decoded)
    return made.feed(stream)


def build_saver(setup: Setup, place: Place, step: TrainStep) -> Saver:
    """What saves the run."""
    made = setup.shards.manifest.made
    about = {
        "recipe": setup.recipe.model_dump(mode="json", exclude_none=True),
        "precision": step.numerics.precision,
        "network": NETWORK,
        "mean": list(setup.normalisation.mean),
        "std": list(setup.normalisation.std),
        "classes": list(setup.shards.class_ids),
        "class_names": list(setup.shards.class_names),
        "size": setup.recipe.evaluate.size,
        "crop": setup.recipe.evaluate.crop,
        "decode": setup.on(place.accelerator).decode,
        "shard_set": setup.shards.digest,
        **({} if made is None else {"prepared": Prepared.among(made)}),
        "world": {"processes": place.world.size, "threads": place.threads},
    }
    states = partial(state_of, step)
    return Saver(setup.out, setup.recipe.runtime.keep_checkpoints, about, states, writes=place.world.is_main)


def build_keeper(setup: Setup, place: Place, step: TrainStep) -> Callable[[Scores, Saved | None], None]:
    """What leaves validation.parquet in the run folder: what was said of each sample by the weights that were saved.

    Every rank calls it; rank 0 writes.
    """

    def keep(scores: Scores, saved: Saved | None) -> None:
        rows = scores.total(place.world)
        if saved is not None:
            source = Source(saved.sha256, saved.step, step.average is not None)
            predictions_of(rows, setup.shards, VALIDATION, source).write(setup.out / predictions.NAME)

    return keep
