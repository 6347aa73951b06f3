"""Measures the accuracy of a checkpoint on a split of a shard set, in the way in which the checkpoint's run did."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.shards.counts import counted
from headrace.shards.headers import refuse_unsafe
from headrace.shards.manifest import VALIDATION
from headrace.shards.shardset import ShardSet
from headrace.shards.stage import Stage
from headrace.shards.urls import Location, Url, location
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
    """The result of evaluating a checkpoint: sums over all ranks, and on rank 0 the predictions."""

    sums: Sums
    predictions: Predictions | None  # on rank 0
    shards: ShardSet
    step: int
    averaged: bool

    def line(self) -> str:
        """Return the result as a line of text, with numbers in the same format as in the line of an epoch."""
        weights = "averaged weights" if self.averaged else "weights"
        split = VALIDATION if self.predictions is None else self.predictions.origin.split
        of = "" if split == VALIDATION else f" of split {split}"
        return (
            f"Test Loss: {self.sums.mean_loss:.5f}, Test Acc: {self.sums.accuracy:.2f}% "
            f"({self.sums.correct:,} of {counted(self.sums.seen, 'image')}{of}; {weights} after step {self.step})"
        )


@dataclass(frozen=True)
class Measurement:
    """A checkpoint to evaluate, the recipe of the evaluation, and the shard set and split to evaluate it on."""

    checkpoint: Checkpoint
    recipe: Settled
    shards: ShardSet
    split: str

    @classmethod
    def of(
        cls, saved: Checkpoint, shards: Location | str, settings: tuple[str, ...], split: str = VALIDATION
    ) -> "Measurement":
        """Prepare the measurement of a checkpoint, with the checkpoint's own recipe changed by `settings`.

        Raises UsageError if checkpoint and shard set differ in their classes, DataError if the shard set is damaged.
        """
        recipe = own_recipe(saved, settings)
        runtime, where = recipe.runtime, location(shards)
        stage = Stage.of(runtime.stage_dir, runtime.stage_limit) if isinstance(where, Url) else None
        shard_set = ShardSet.open(where, stage)
        refuse_other_classes(saved, shard_set)
        if World.from_environment().local_rank == 0:  # the other ranks of this host wait for it when they join
            refuse_unsafe(shard_set)
        return cls(saved, recipe, shard_set, split)

    def take(self, evaluate: Evaluator, place: Place, numerics: Numerics) -> Measured:
        """Evaluate the checkpoint's network with the evaluator `evaluate`. Raises DataError if weights are damaged."""
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
