"""Defines the settled recipe, in which known values have replaced "auto" and "model"; runs use and store it."""

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ValidationError

from headrace.shards.errors import UsageError
from headrace.train.recipe.recipe import Recipe, explain
from headrace.train.recipe.sections import Augment, Evaluate, Train
from headrace.train.recipe.values import Batch, CropShare, Epochs, Group, Side

AUTOMATIC = ("train.epochs", "train.global_batch", "train.group", "augment.size", "evaluate.size")
"""The keys whose value may be "auto"."""
BY_MODEL = ("augment.size", "augment.interpolation", "evaluate.size", "evaluate.crop")
"""The keys whose value may be "model"."""
OPEN = tuple(dict.fromkeys(AUTOMATIC + BY_MODEL))
Values = dict[str, int | float | str]


class SettledAugment(Augment):
    """The section `augment` with known values in place of "auto" and "model"."""

    size: Side
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    @property
    def stages(self) -> tuple[tuple[float, int], ...]:
        """The stages of the resolution schedule, at least one: (share of the run where it begins, side in pixels)."""
        return self.sizes or ((0.0, self.size),)


class SettledTrain(Train):
    """The section `train` with numbers in place of "auto"."""

    epochs: Epochs
    global_batch: Batch
    group: Group


class SettledEvaluate(Evaluate):
    """The section `evaluate` with numbers in place of "auto" and "model"."""

    size: Side
    crop: CropShare = 1.0


class Settled(Recipe):
    """A recipe in which a known value has replaced each "auto" and "model"."""

    augment: SettledAugment
    train: SettledTrain
    evaluate: SettledEvaluate

    @classmethod
    def of(cls, recipe: Recipe, numbers: Mapping[str, int | float | str], name: str) -> Self:
        """Return the recipe with a value from `numbers` for each key that is "auto" or "model".

        `name` is the recipe's name in errors. Raises UsageError if the values contradict others in the recipe.
        """
        values = recipe.model_dump(mode="json", exclude_none=True)
        for key in automatic_keys(recipe):
            section, _, field = key.partition(".")
            values[section][field] = numbers[key]
        try:
            return cls.model_validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            raise UsageError(explain(name, error)) from error

    def numbers(self) -> Values:
        """Return the values of all keys that allow "auto", by key."""
        return {key: value_of(self, key) for key in AUTOMATIC}

    def completing(self, recipe: Recipe, name: str) -> "Settled":
        """Return `recipe` with each "auto" and "model" replaced by this recipe's value for the same key."""
        return Settled.of(recipe, {key: value_of(self, key) for key in OPEN}, name)


def automatic_keys(recipe: Recipe) -> list[str]:
    """Return the keys of a recipe whose value is "auto" or "model"."""
    return [key for key in OPEN if value_of(recipe, key) in ("auto", "model")]


def value_of(recipe: Recipe, key: str) -> Any:
    """Return the value of `key`, which has the form SECTION.KEY."""
    section, _, field = key.partition(".")
    return getattr(getattr(recipe, section), field)
