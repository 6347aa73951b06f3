"""Numbers that a recipe leaves open: those of the checkpoint that is resumed, or chosen by the training split."""

from typing import NamedTuple

from headrace.shards.manifest import TRAIN, SplitInfo
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.recipe.automatic import Facts, settle
from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.settled import Settled, automatic_keys
from headrace.train.recipe.window import LARGE, window_for


class Choice(NamedTuple):
    """A recipe without "auto", and a sentence on the numbers that were put there; "" if there were none."""

    recipe: Settled
    said: str


def settle_run(recipe: Recipe, name: str, shards: ShardSet, resumed: Checkpoint | None) -> Choice:
    """The recipe called `name` with a number for each "auto", and with a window where the set is very large.

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
    said = [f"{chosen}: {why}"] if keys else []
    split = _training(shards)
    if settled.train.window is None and split.samples > LARGE:
        settled, window = _in_windows(settled, split, resumed)
        said += [window] if window else []
    return Choice(settled, "; ".join(said))


def _in_windows(recipe: Settled, split: SplitInfo, resumed: Checkpoint | None) -> tuple[Settled, str]:
    """The recipe of a very large set, with the window that the run began with, or a new one, and a sentence on it.

    A checkpoint without the key is of a run over the whole set.
    """
    shards = len(split.shards)
    window = resumed.recipe.train.window if resumed else window_for(split.samples, shards)
    if window is None:
        return recipe, ""
    train = recipe.train.model_copy(update={"window": window})
    why = "as the run began" if resumed else f"for {split.samples:,} training images; {shards} would be the whole set"
    return recipe.model_copy(update={"train": train}), f"train.window = {window} of {shards:,} shards: {why}"


def _training(shards: ShardSet) -> SplitInfo:
    return next(split for split in shards.manifest.splits if split.name == TRAIN)


def facts_of(shards: ShardSet) -> Facts:
    """What numbers are chosen by. Raises DataError when the index of the training split is damaged."""
    return Facts(_training(shards).samples, len(shards.class_ids), shards.median_side(TRAIN))
