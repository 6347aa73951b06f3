"""All that training images go through after the resize, put together: pure functions of (seed, epoch, sample id)."""

from typing import NamedTuple

from headrace.train.input.augment.affine import Affine, affine_changes
from headrace.train.input.augment.erasing import Erasing, erasing_changes
from headrace.train.input.augment.jitter import Jitter, jitter_changes
from headrace.train.input.augment.operation import Change
from headrace.train.input.augment.trivial_augment import trivial_changes
from headrace.train.input.augment.views import Samples
from headrace.train.recipe.sections import Augment


class Policy(NamedTuple):
    """What is on. As it stands here, nothing is."""

    affine: Affine = Affine()
    jitter: Jitter = Jitter()
    trivial: bool = False
    erasing: Erasing = Erasing()

    @classmethod
    def of(cls, augment: Augment, mean: tuple[float, float, float]) -> "Policy":
        """What a recipe asks for. Erased pixels take the network's mean colour, grey levels 0 to 255."""
        red, green, blue = map(round, mean)
        return cls(
            Affine(augment.rotate, augment.shear, augment.translate, augment.scale),
            Jitter(augment.brightness, augment.contrast, augment.saturation, augment.hue),
            augment.trivial_augment,
            Erasing(augment.erase, augment.erase_area, augment.erase_ratio, (red, green, blue)),
        )


def draw_changes(policy: Policy, seed: int, samples: Samples, size: int) -> tuple[Change, ...]:
    """What is done to the images of `size` pixels of a group, in this order; nothing is done for what is off.

    `rows` of a change count within `samples`; all else about a sample is the same in whatever group it is.
    """
    return (
        *affine_changes(policy.affine, seed, samples, size),
        *jitter_changes(policy.jitter, seed, samples),
        *(trivial_changes(seed, samples, size) if policy.trivial else ()),
        *erasing_changes(policy.erasing, seed, samples, size),
    )
