"""Draws how mixup or CutMix mixes the images of a group: which images are mixed, and with what weights.

The draws depend only on (seed, step, group). mixup (Zhang et al., arXiv:1710.09412) blends each image with a partner,
which is an image of the same group. CutMix (Yun et al., arXiv:1905.04899) copies a rectangle of the partner into the
image. Both methods weight the label of each of the two images by the image's share in the result. Because an image and
its partner are in the same group, mixed images do not depend on which rank runs the group.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, hash64, uniforms

_TRIES = 64  # attempts at a Beta draw; each is accepted with a probability of at least one half


class Mixing(NamedTuple):
    """The parameter alpha of mixup and of CutMix, which draw weights from Beta(alpha, alpha); 0 turns a method off.

    If both methods are on, each group uses one of them, chosen at random.
    """

    mixup: float = 0.0
    cutmix: float = 0.0


class Mix(NamedTuple):
    """Describes how the images of one group are mixed."""

    partner: NDArray[np.int64]  # (b,) the partner of each sample: a permutation of the group
    share: float  # the weight of a sample's own label
    box: tuple[int, int, int, int] | None  # rectangle from the partner: top, left, bottom, right in pixels; None blends


def draw_mix(mixing: Mixing, seed: int, step: int, group: int, samples: int, size: int) -> Mix | None:
    """Return how to mix a group of `samples` images with sides of `size` pixels, or None if mixing is off."""
    if not (mixing.mixup or mixing.cutmix):
        return None
    draws = uniforms(seed, Stream.MIX, step, group, count=3 + 2 * _TRIES)[0]
    partner = np.argsort(hash64(seed, Stream.MIX, step, group, 1, np.arange(samples)), kind="stable")
    cut = bool(mixing.cutmix) and (not mixing.mixup or draws[0] < 0.5)
    share = beta(mixing.cutmix if cut else mixing.mixup, draws[3:].reshape(_TRIES, 2))
    if not cut:
        return Mix(partner, share, None)
    top, bottom = _span(draws[1], share, size)
    left, right = _span(draws[2], share, size)
    return Mix(partner, 1 - (bottom - top) * (right - left) / size**2, (top, left, bottom, right))


def beta(alpha: float, pairs: NDArray[np.float64]) -> float:
    """Return a number with distribution Beta(alpha, alpha), for alpha <= 1, from uniform random numbers `pairs` (n, 2).

    The method is Johnk's (Metrika 8, 1964).
    """
    x, y = (pairs ** (1 / alpha)).T
    accepted = np.flatnonzero((x + y > 0) & (x + y <= 1))
    first = accepted[0] if len(accepted) else None
    return 0.5 if first is None else float(x[first] / (x[first] + y[first]))


def _span(centre: float, share: float, size: int) -> tuple[int, int]:
    """Return where CutMix's box begins and ends along one axis: its first pixel, and the pixel after its last one.

    The box is the rectangle that is copied from the partner. `centre` is a fraction of the image's side. `share` is the
    share of the image's area outside the box, so the box's side is sqrt(1 - share) times the image's side. A part of
    the box outside the image is cut off.
    """
    half = size * np.sqrt(1 - share) / 2
    return int(max(0, round(centre * size - half))), int(min(size, round(centre * size + half)))
