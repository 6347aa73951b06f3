"""Draws all augmentations of training images that follow the resize, as pure functions of (seed, epoch, sample id)."""

from typing import NamedTuple

from headrace.train.input.augment.affine import Affine, affine_changes
from headrace.train.input.augment.erasing import Erasing, erasing_changes
from headrace.train.input.augment.jitter import Jitter, jitter_changes
from headrace.train.input.augment.operation import Change
from headrace.train.input.augment.trivial_augment import trivial_changes
from headrace.train.input.augment.views import Samples
from headrace.train.recipe.sections import Augment


class Policy(NamedTuple):
    """The augmentations that follow the resize, with their parameters; by default all are off."""

    affine: Affine = Affine()
    jitter: Jitter = Jitter()
    trivial: bool = False
    erasing: Erasing = Erasing()

    @classmethod
    def of(cls, augment: Augment, mean: tuple[float, float, float]) -> "Policy":
        """Return the policy that a recipe's section `augment` describes.

        `mean` is the colour of erased pixels, from 0 to 255.
        """
        red, green, blue = map(round, mean)
        return cls(
            Affine(augment.rotate, augment.shear, augment.translate, augment.scale),
            Jitter(augment.brightness, augment.contrast, augment.saturation, augment.hue),
            augment.trivial_augment,
            Erasing(augment.erase, augment.erase_area, augment.erase_ratio, (red, green, blue)),
        )


def draw_changes(policy: Policy, seed: int, samples: Samples, size: int) -> tuple[Change, ...]:
    """Return the changes to the images of a group in the order in which they are applied.

    `size` is the side of the images in pixels. The `rows` of a change are indices into `samples`. The operators and
    values for a sample do not depend on the other samples of the group.
    """
    return (
        *affine_changes(policy.affine, seed, samples, size),
        *jitter_changes(policy.jitter, seed, samples),
        *(trivial_changes(seed, samples, size) if policy.trivial else ()),
        *erasing_changes(policy.erasing, seed, samples, size),
    )
