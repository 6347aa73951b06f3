"""A recipe without "auto": what a run consists of, and what its folder and its checkpoints hold."""

import json
from typing import Any, Self

from pydantic import ValidationError

from headrace.shards.errors import UsageError
from headrace.train.recipe.recipe import Recipe, explain
from headrace.train.recipe.sections import Augment, Batch, Epochs, Evaluate, Group, Side, Train

AUTOMATIC = ("train.epochs", "train.global_batch", "train.group", "augment.size", "evaluate.size")
"""The keys whose value may be "auto"."""


class SettledAugment(Augment):
    """What training images go through, at a known size."""

    size: Side

    @property
    def stages(self) -> tuple[tuple[float, int], ...]:
        """(share of the run, side) of every stage of the resolution schedule, at least one."""
        return self.sizes or ((0.0, self.size),)


class SettledTrain(Train):
    """How long and in what pieces, in numbers."""

    epochs: Epochs
    global_batch: Batch
    group: Group


class SettledEvaluate(Evaluate):
    """How the validation split is measured, at a known size."""

    size: Side


class Settled(Recipe):
    """A recipe in which every value is known."""

    augment: SettledAugment
    train: SettledTrain
    evaluate: SettledEvaluate

    @classmethod
    def of(cls, recipe: Recipe, numbers: dict[str, int], name: str) -> Self:
        """The recipe with a number for each of its keys that are "auto"; `name` is what errors call it.

        Raises UsageError if the numbers do not fit its other values.
        """
        values = recipe.model_dump(mode="json", exclude_none=True)
        for key in automatic_keys(recipe):
            section, _, field = key.partition(".")
            values[section][field] = numbers[key]
        try:
            return cls.model_validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            raise UsageError(explain(name, error)) from error

    def numbers(self) -> dict[str, int]:
        """The value of every key that may be "auto"."""
        return {key: _value(self, key) for key in AUTOMATIC}

    def completing(self, recipe: Recipe, name: str) -> "Settled":
        """The recipe with this one's number for each of its keys that are "auto"."""
        return Settled.of(recipe, self.numbers(), name)


def automatic_keys(recipe: Recipe) -> list[str]:
    """The keys of a recipe whose value is "auto"."""
    return [key for key in AUTOMATIC if _value(recipe, key) == "auto"]


def _value(recipe: Recipe, key: str) -> Any:
    section, _, field = key.partition(".")
    return getattr(getattr(recipe, section), field)
