"""Computes the values that replace "auto" and "model" in a recipe, from the training split and the network alone.

The rules are few and coarse on purpose. docs/recipes.md lists them in tables and says where they come from.
"""

import math
from typing import NamedTuple

from headrace.shards.errors import UsageError
from headrace.train.recipe.preferred import Preferred
from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.settled import Settled, Values, automatic_keys, value_of

FEWEST_EPOCHS, MOST_EPOCHS = 3, 40
SEEN = 300
"""With epochs = auto, a run trains on SEEN * sqrt(n) images, counting repeats; n is the number of training images."""
VIEWS = 150
"""With epochs = auto, a run trains on at least this number of images for each class, counting repeats."""
SMALLEST_BATCH, LARGEST_BATCH = 8, 256
SMALLEST_GROUP, LARGEST_GROUP = 8, 32
"""With group = auto, the bounds of the group size, which is the number of samples that batch normalisation sees
together. If no divisor of the batch is within these bounds, the group size is outside them."""
SIZES = ((64, 128), (128, 160))
"""With size = auto, a set is trained at the second number of the first pair whose first number is at least the median
side of the source images. If there is no such pair, the set is trained at LARGEST_SIZE. All sides are in pixels."""
LARGEST_SIZE = 192
STRIDE = 32
"""With evaluate.size = auto, the side for evaluation is larger than the side for training by this number of pixels."""


class Facts(NamedTuple):
    """The properties of a training split that the values for "auto" depend on."""

    samples: int
    classes: int
    side: int  # median of the images' shorter sides, pixels


def settle(recipe: Recipe, facts: Facts, name: str, preferred: Preferred | None = None) -> Settled:
    """Return the recipe with each "auto" and "model" replaced by a value that fits the recipe's other values.

    `name` is the recipe's name in errors; `preferred` holds the values for "model". Raises UsageError if there are no
    samples to derive a value from, or if the values contradict one another.
    """
    wanted = automatic_keys(recipe)
    auto = [key for key in wanted if value_of(recipe, key) == "auto"]
    if auto and facts.samples < 1:
        raise UsageError(f"recipe {name}: {auto[0]} = auto, but there are no training images to derive the value from")
    return Settled.of(recipe, _values(recipe, facts, preferred, name) if wanted else {}, name)


def _values(recipe: Recipe, facts: Facts, preferred: Preferred | None, name: str) -> Values:
    """Return a value for each key that is "auto" or "model" in the recipe; callers ignore values for other keys."""
    own = preferred.values() if preferred else {}
    words = [key for key in automatic_keys(recipe) if value_of(recipe, key) == "model"]
    if missing := [key for key in words if key not in own]:
        raise UsageError(
            f"recipe {name}: {missing[0]} = model, but the settings of this network are unknown. Give a number"
        )
    auto = any(value_of(recipe, key) == "auto" for key in automatic_keys(recipe))
    numbers = _numbers(recipe, facts, preferred) if auto else {}
    return {**own, **numbers, **{key: own[key] for key in words}}


def _numbers(recipe: Recipe, facts: Facts, preferred: Preferred | None) -> Values:
    train, augment = recipe.train, recipe.augment
    batch = _batch(facts.samples) if train.global_batch == "auto" else train.global_batch
    unit = train.partitions * (1 if train.group == "auto" else train.group)
    if train.global_batch == "auto":
        batch = max(batch // unit, 1) * unit
    share = batch // train.partitions if batch % train.partitions == 0 else batch
    group = _group(share) if train.group == "auto" else train.group
    if preferred is not None and (preferred.fixed or augment.size == "model"):
        size = preferred.size
    elif isinstance(augment.size, int):
        size = augment.size
    else:
        size = _size(facts.side)
    last = augment.sizes[-1][1] if augment.sizes else size
    return {
        "train.epochs": _epochs(facts.samples, facts.classes),
        "train.global_batch": batch,
        "train.group": group,
        "augment.size": size,
        "evaluate.size": last if preferred is not None and preferred.fixed else _evaluated(last),
    }


def _epochs(samples: int, classes: int) -> int:
    seen = max(SEEN * math.sqrt(samples), VIEWS * classes)
    return min(max(round(seen / samples), FEWEST_EPOCHS), MOST_EPOCHS)


def _batch(samples: int) -> int:
    """Return the power of two nearest to the square root of `samples`.

    The result is from SMALLEST_BATCH to LARGEST_BATCH, but at most `samples`.
    """
    nearest = 1 << round(math.log2(samples) / 2)
    return min(max(nearest, SMALLEST_BATCH), LARGEST_BATCH, 1 << (samples.bit_length() - 1))


def _group(batch: int) -> int:
    """Return the largest divisor of the batch between SMALLEST_GROUP and LARGEST_GROUP.

    If there is none, return the smallest divisor above LARGEST_GROUP; a batch below SMALLEST_GROUP is one group.
    """
    divisors = [number for number in range(1, batch + 1) if batch % number == 0]
    fitting = [number for number in divisors if SMALLEST_GROUP <= number <= LARGEST_GROUP]
    return fitting[-1] if fitting else min([number for number in divisors if number > LARGEST_GROUP] or [batch])


def _size(side: int) -> int:
    return next((size for most, size in SIZES if side <= most), LARGEST_SIZE)


def _evaluated(size: int) -> int:
    """Return the side of the images for evaluation, in pixels; `size` is the side for training.

    The side for evaluation is larger, because random crops enlarge objects in training (arXiv:1906.06423).
    """
    return min(size + STRIDE, 1024)


def refuse_other_sides(recipe: Settled, preferred: Preferred) -> None:
    """Raise UsageError if the network accepts only one size and the recipe has a different size."""
    if not preferred.fixed:
        return
    name, size = recipe.model.name, preferred.size
    if recipe.augment.sizes and any(side != size for _, side in recipe.augment.sizes):
        raise UsageError(
            f"augment.sizes: {name} accepts only images of {size} px, so it cannot have a schedule of sizes. "
            "Set augment.sizes=[] and augment.size=model"
        )
    seen = {"augment.size": recipe.augment.stages[0][1], "evaluate.size": recipe.evaluate.size}
    if wrong := [f"{key} = {side}" for key, side in seen.items() if side != size]:
        raise UsageError(f"{', '.join(wrong)}: {name} accepts only images of {size} px. Set {size} or model")
