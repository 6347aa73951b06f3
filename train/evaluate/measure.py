"""The accuracy of a checkpoint on a split of a shard set, as its run measured it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.shards.headers import refuse_unsafe
from headrace.shards.manifest import VALIDATION
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.resume import refuse_other_classes
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.evaluate.predicted import Source, predictions_of
from headrace.train.evaluate.scores import Scores
from headrace.train.evaluate.trained import build_network, own_recipe
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.recipe.settled import Settled
from headrace.train.record.predictions import Predictions
from headrace.train.record.sums import Sums


@dataclass(frozen=True)
class Measured:
    """What an evaluation came to."""

    sums: Sums
    predictions: Predictions | None  # on rank 0
    shards: ShardSet
    step: int
    averaged: bool

    def line(self) -> str:
        """The result in words, with the numbers in the form of the epoch line."""
        weights = "averaged weights" if self.averaged else "weights"
        split = VALIDATION if self.predictions is None else self.predictions.origin.split
        of = "" if split == VALIDATION else f" of split {split}"
        return (
            f"Test Loss: {self.sums.mean_loss:.5f}, Test Acc: {self.sums.accuracy:.2f}% "
            f"({self.sums.correct:,} of {self.sums.seen:,} images{of}; {weights} after step {self.step})"
        )


@dataclass(frozen=True)
class Measurement:
    """A checkpoint that can be evaluated on a shard set, and the recipe to do it by."""

    checkpoint: Checkpoint
    recipe: Settled
    shards: ShardSet
    split: str

    @classmethod
    def of(cls, saved: Checkpoint, shards: Path, settings: tuple[str, ...], split: str = VALIDATION) -> "Measurement":
        """That of a checkpoint with its own recipe, changed by `settings`.

        Raises UsageError when the class lists differ, DataError when the set is damaged.
        """
        shard_set = ShardSet.open(shards)
        refuse_other_classes(saved, shard_set)
        if World.from_environment().local_rank == 0:  # the others of this node wait for it where all join
            refuse_unsafe(shard_set)
        return cls(saved, own_recipe(saved, settings), shard_set, split)

    def take(self, evaluate: Evaluator, place: Place, numerics: Numerics) -> Measured:
        """What `evaluate` makes of the checkpoint's network, at this place. Raises DataError if it is damaged."""
        saved = self.checkpoint
        network = build_network(saved)
        place.accelerator.place(network, numerics.master_dtype)
        scores = Scores()
        sums = evaluate(network, scores=scores)
        rows = scores.total(place.world)
        predictions = self._predictions(rows) if place.world.is_main else None
        return Measured(sums, predictions, self.shards, saved.progress.step, bool(saved.average))

    def _predictions(self, rows: NDArray[np.float64]) -> Predictions:
        saved = self.checkpoint
        source = Source(saved.sha256, saved.progress.step, bool(saved.average))
        return predictions_of(rows, self.shards, self.split, source)
