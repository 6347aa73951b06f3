"""What "auto" comes to in a recipe: a pure function of the training split, never of the machine.

The rules are few and coarse on purpose. docs/recipes.md has them as a table and says where they come from.
"""

import math
from typing import NamedTuple

from headrace.shards.errors import UsageError
from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.settled import Settled, automatic_keys

FEWEST_EPOCHS, MOST_EPOCHS = 3, 40
SEEN = 300
"""Images that a training passes, augmented copies counted, per square root of the number of images there are."""
VIEWS = 150
"""Images that it passes at least for each class."""
SMALLEST_BATCH, LARGEST_BATCH = 8, 256
SMALLEST_GROUP, LARGEST_GROUP = 8, 32
"""Samples that batch normalisation sees at once, where the batch leaves the choice."""
SIZES = ((64, 128), (128, 160))
"""(median side of the images at most, side that they are trained at); larger ones are trained at LARGEST_SIZE."""
LARGEST_SIZE = 192
STRIDE = 32
"""Sides are multiples of this."""


class Facts(NamedTuple):
    """What a training split is, as far as numbers are chosen by it."""

    samples: int
    classes: int
    side: int  # median of the images' shorter sides, pixels


def settle(recipe: Recipe, facts: Facts, name: str) -> Settled:
    """The recipe with a number for each "auto", in accord with the numbers that it gives itself.

    `name` is what errors call it. Raises UsageError if there are no samples, or if its values do not fit one another.
    """
    wanted = automatic_keys(recipe)
    if wanted and facts.samples < 1:
        raise UsageError(f"recipe {name}: {wanted[0]} = auto, but there are no training images to choose it by")
    return Settled.of(recipe, _numbers(recipe, facts) if wanted else {}, name)


def _numbers(recipe: Recipe, facts: Facts) -> dict[str, int]:
    train, augment = recipe.train, recipe.augment
    batch = _batch(facts.samples) if train.global_batch == "auto" else train.global_batch
    if train.group == "auto":
        group = _group(batch)
    else:
        group = train.group
        batch = max(batch // group, 1) * group  # only a batch that is chosen here may change
    size = _size(facts.side) if augment.size == "auto" else augment.size
    last = augment.sizes[-1][1] if augment.sizes else size
    return {
        "train.epochs": _epochs(facts.samples, facts.classes),
        "train.global_batch": batch,
        "train.group": group,
        "augment.size": size,
        "evaluate.size": _evaluated(last),
    }


def _epochs(samples: int, classes: int) -> int:
    seen = max(SEEN * math.sqrt(samples), VIEWS * classes)
    return min(max(round(seen / samples), FEWEST_EPOCHS), MOST_EPOCHS)


def _batch(samples: int) -> int:
    """The power of two next to the square root of the number of samples."""
    nearest = 1 << round(math.log2(samples) / 2)
    return min(max(nearest, SMALLEST_BATCH), LARGEST_BATCH, 1 << (samples.bit_length() - 1))


def _group(batch: int) -> int:
    """A divisor of the batch: the largest that is not above LARGEST_GROUP, unless batch normalisation had too few."""
    divisors = [number for number in range(1, batch + 1) if batch % number == 0]
    fitting = [number for number in divisors if SMALLEST_GROUP <= number <= LARGEST_GROUP]
    return fitting[-1] if fitting else min([number for number in divisors if number > LARGEST_GROUP] or [batch])


def _size(side: int) -> int:
    return next((size for most, size in SIZES if side <= most), LARGEST_SIZE)


def _evaluated(size: int) -> int:
    """A little larger than trained: a random crop shows things larger than the whole image does (arXiv:1906.06423)."""
    return min(size + STRIDE, 1024)
