"""Numbers for what is "auto" in a recipe: those of the checkpoint that is resumed, or chosen by the training split."""

from typing import NamedTuple

from headrace.shards.manifest import TRAIN
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.recipe.automatic import Facts, settle
from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.settled import Settled, automatic_keys


class Choice(NamedTuple):
    """A recipe without "auto", and a sentence on the numbers that were put there; "" if there were none."""

    recipe: Settled
    said: str


def settle_run(recipe: Recipe, name: str, shards: ShardSet, resumed: Checkpoint | None) -> Choice:
    """The recipe called `name` with a number for each "auto".

    Those of a checkpoint that is resumed, so that a run goes on as it began, whatever a set or a later version would
    choose. Raises UsageError if there are no training images, or if the numbers do not fit the recipe's other values.
    """
    keys = automatic_keys(recipe)
    if resumed is not None:
        settled, why = resumed.recipe.completing(recipe, name), "as the run began"
    else:
        facts = facts_of(shards) if keys else Facts(0, 0, 0)
        settled = settle(recipe, facts, name)
        why = f"for {facts.samples:,} training images of {facts.classes:,} classes, median side {facts.side} px"
    numbers = settled.numbers()
    chosen = ", ".join(f"{key} = {numbers[key]}" for key in keys)
    return Choice(settled, f"{chosen}: {why}" if keys else "")


def facts_of(shards: ShardSet) -> Facts:
    """What numbers are chosen by. Raises DataError when the index of the training split is damaged."""
    samples = next(split.samples for split in shards.manifest.splits if split.name == TRAIN)
    return Facts(samples, len(shards.class_ids), shards.median_side(TRAIN))
