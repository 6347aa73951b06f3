"""The accuracy of a checkpoint on a shard set's validation split, as its run measured it."""

from dataclasses import dataclass
from pathlib import Path

from headrace.shards.headers import refuse_unsafe
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.resume import refuse_other_classes
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.machine.device import Accelerator
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.model.build import build_model
from headrace.train.model.states import load_network
from headrace.train.recipe.recipe import Recipe
from headrace.train.record.sums import Sums


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


@dataclass(frozen=True)
class Measurement:
    """A checkpoint that can be evaluated on a shard set, and the recipe to do it by."""

    checkpoint: Checkpoint
    recipe: Recipe
    shards: ShardSet

    @classmethod
    def of(cls, path: Path, shards: Path, settings: tuple[str, ...]) -> "Measurement":
        """That of the checkpoint at `path`, with its own recipe, changed by `settings`.

        Raises UsageError when the class lists differ, DataError when the checkpoint or the set is damaged.
        """
        saved = Checkpoint.of(files.load(path))
        recipe = saved.recipe.with_settings("of the checkpoint", settings)
        shard_set = ShardSet.open(shards)
        refuse_other_classes(saved, shard_set)
        if World.from_environment().local_rank == 0:  # the others of this node wait for it where all join
            refuse_unsafe(shard_set)
        return cls(saved, recipe, shard_set)

    def numerics(self, accelerator: Accelerator) -> Numerics:
        """The formats that it was trained in, unless the settings name others."""
        wanted = self.recipe.runtime.precision
        return Numerics(self.checkpoint.precision if wanted == "auto" else wanted, accelerator.device.type)

    def take(self, evaluate: Evaluator, place: Place, numerics: Numerics) -> Measured:
        """What `evaluate` makes of the checkpoint's network, at this place. Raises DataError if it is damaged."""
        saved, recipe, classes = self.checkpoint, self.recipe, len(self.shards.class_ids)
        built = build_model(recipe.model.name, classes, init="random", weights=None, seed=recipe.train.seed)
        with saved.explaining():
            load_network(built.network, saved.average or saved.model, "average" if saved.average else "model")
        place.accelerator.place(built.network, numerics.master_dtype)
        return Measured(evaluate(built.network), saved.progress.step, bool(saved.average))
