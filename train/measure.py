"""`headrace eval`: the accuracy of a checkpoint on a shard set's validation split, as its run measured it."""

import sys
from dataclasses import dataclass
from pathlib import Path

from shards.headers import refuse_unsafe
from shards.shardset import ShardSet
from train import checkpoint
from train.evaluate import build_evaluator
from train.kept import LOOPS
from train.model import build_model
from train.normalise import Normalise
from train.numerics import Numerics
from train.place import Place
from train.recipe import Recipe
from train.resume import Resumed, refuse_other_classes
from train.states import load_network
from train.sums import Sums
from train.world import World


@dataclass(frozen=True)
class Measured:
    """What an evaluation came to."""

    sums: Sums
    step: int
    averaged: bool

    def line(self) -> str:
        """The result in words, with the numbers in the form of the epoch line."""
        weights = "averaged weights" if self.averaged else "weights"
        return (
            f"Test Loss: {self.sums.mean_loss:.5f}, Test Acc: {self.sums.accuracy:.2f}% "
            f"({self.sums.correct:,} of {self.sums.seen:,} images; {weights} after step {self.step})"
        )


def measure(path: Path, shards: Path, settings: tuple[str, ...]) -> Measured:
    """Evaluate the checkpoint at `path` with its own recipe, changed by `settings`.

    The precision is that which it was trained in, unless `settings` name another. Under torchrun the ranks share the
    batches. Raises UsageError when the class lists differ, DataError when the checkpoint is damaged.
    """
    resumed = Resumed(checkpoint.load(path), path)
    recipe = resumed.recipe.with_settings("of the checkpoint", settings)
    shard_set = ShardSet.open(shards)
    refuse_other_classes(path, resumed.state["classes"], shard_set)
    if World.from_environment().local_rank == 0:  # the others of this node wait for it where all join
        refuse_unsafe(shard_set)
    with Place.joined(recipe.runtime) as place:
        measured = _measure(resumed, recipe, shard_set, place)
        if LOOPS.trouble and place.world.is_main:
            print(f"headrace: warning: {LOOPS.trouble}", file=sys.stderr)  # noqa: T201  the program's own output
    return measured


def _measure(resumed: Resumed, recipe: Recipe, shard_set: ShardSet, place: Place) -> Measured:
    wanted = recipe.runtime.precision
    numerics = Numerics(resumed.precision if wanted == "auto" else wanted, place.accelerator.device.type)
    place.accelerator.allow_tf32(allowed=not numerics.exact)
    built = build_model(
        recipe.model.name, len(shard_set.class_ids), init="random", weights=None, seed=recipe.train.seed
    )
    averaged, progress = bool(resumed.state["average"]), resumed.progress
    part = "average" if averaged else "model"
    with resumed.explaining():
        load_network(built.network, resumed.state[part], part)
    place.accelerator.place(built.network, numerics.master_dtype)
    normalise = Normalise(*built.normalisation, place.accelerator, numerics.master_dtype)
    evaluate = build_evaluator(shard_set, recipe.evaluate, recipe.runtime, normalise, place, numerics)
    return Measured(evaluate(built.network), progress.step, averaged)
