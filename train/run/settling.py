"""Chooses the values that a recipe leaves open: from the resumed checkpoint, or from training split and network."""

from pathlib import Path
from typing import NamedTuple

from headrace.shards.manifest import TRAIN, SplitInfo
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.model.preferences import preferred_by
from headrace.train.recipe.automatic import Facts, refuse_other_sides, settle
from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.settled import Settled, automatic_keys, value_of
from headrace.train.recipe.window import LARGE, window_for


class Choice(NamedTuple):
    """A recipe with chosen values in place of "auto" and "model", and a sentence about these values, or "" if none."""

    recipe: Settled
    said: str


def settle_run(
    recipe: Recipe, name: str, shards: ShardSet, resumed: Checkpoint | None, weights: Path | None = None
) -> Choice:
    """Choose a value for each "auto" and "model" in a recipe, and for train.window if the shard set is very large.

    A resumed run keeps the values of its checkpoint, even if this version of Headrace would choose other values. `name`
    is the recipe's name in errors. `weights` is a file or folder of the user's own weights, which may state the
    settings that they were trained with. Raises UsageError if there are no training images, or if the values do not fit
    the recipe or the network.
    """
    keys = automatic_keys(recipe)
    auto = [key for key in keys if value_of(recipe, key) == "auto"]
    preferred = preferred_by(recipe.model.name, None if resumed else weights)
    if resumed is not None:
        settled, why = resumed.recipe.completing(recipe, name), "as at the start of the run"
    else:
        facts = facts_of(shards) if auto else Facts(0, 0, 0)
        settled = settle(recipe, facts, name, preferred)
        why = f"for {facts.samples:,} training images of {facts.classes:,} classes, median side {facts.side} px"
    refuse_other_sides(settled, preferred)
    said = []
    for some, reason in (
        (auto, why),
        ([key for key in keys if key not in auto], f"as preferred by {recipe.model.name}"),
    ):
        if some:
            said.append(f"{', '.join(f'{key} = {value_of(settled, key)}' for key in some)}: {reason}")
    split = _training(shards)
    if settled.train.window is None and split.samples > LARGE:
        settled, window = _in_windows(settled, split, resumed)
        said += [window] if window else []
    return Choice(settled, "; ".join(said))


def _in_windows(recipe: Settled, split: SplitInfo, resumed: Checkpoint | None) -> tuple[Settled, str]:
    """Return the recipe with a value of train.window for a very large shard set, and a sentence about that value.

    A resumed run keeps the window of its checkpoint. If the checkpoint has no window, the run continues to shuffle the
    whole set.
    """
    shards = len(split.shards)
    window = resumed.recipe.train.window if resumed else window_for(split.samples, shards)
    if window is None:
        return recipe, ""
    train = recipe.train.model_copy(update={"window": window})
    why = "as at the start of the run" if resumed else f"for {split.samples:,} training images"
    return recipe.model_copy(update={"train": train}), f"train.window = {window} of {shards:,} shards: {why}"


def _training(shards: ShardSet) -> SplitInfo:
    return next(split for split in shards.manifest.splits if split.name == TRAIN)


def facts_of(shards: ShardSet) -> Facts:
    """Return the facts about the training split that automatic values depend on.

    Raises DataError if the index of the training split is damaged.
    """
    return Facts(_training(shards).samples, len(shards.class_ids), shards.median_side(TRAIN))
