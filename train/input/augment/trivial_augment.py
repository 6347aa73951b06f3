"""Draws TrivialAugment (arXiv:2103.10158): one random operator with one random strength for each sample.

The method, by Müller and Hutter, has no parameters to tune. The operators, and the 31 strengths of each, are those of
`torchvision.transforms.TrivialAugmentWide`. As in torchvision, shears keep the top left corner fixed, and shifts are at
most 32 pixels for images of any size. One strength differs: a shift of 16 pixels here is 15 pixels in torchvision,
which computes strengths in float32.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.views import Samples
from headrace.train.input.augment.warp import inverse_matrix

BINS = 31
Numbers = NDArray[np.float64]


class Choice(NamedTuple):
    """An operator that may be drawn for a sample, with its possible strengths."""

    name: str  # as torchvision names it
    op: Op | None
    strengths: Numbers  # (31,)
    signed: bool  # half of the samples get the negative of a strength
    values: Callable[[Numbers, int], Numbers]
    """A function of strengths (n,) and the images' side in pixels, which returns the operator's values (n, k)."""


def _none(strengths: Numbers, _: int) -> Numbers:
    return np.empty((len(strengths), 0))


def _factor(strengths: Numbers, _: int) -> Numbers:
    return 1 + strengths[:, None]


def _plain(strengths: Numbers, _: int) -> Numbers:
    return strengths[:, None]


def _shear_x(strengths: Numbers, _: int) -> Numbers:
    return inverse_matrix(0, shear=(np.degrees(np.arctan(strengths)), 0))


def _shear_y(strengths: Numbers, _: int) -> Numbers:
    return inverse_matrix(0, shear=(0, np.degrees(np.arctan(strengths))))


def _translate_x(strengths: Numbers, _: int) -> Numbers:
    return inverse_matrix(0, translate=(np.trunc(strengths), 0))


def _translate_y(strengths: Numbers, _: int) -> Numbers:
    return inverse_matrix(0, translate=(0, np.trunc(strengths)))


def _rotate(strengths: Numbers, size: int) -> Numbers:
    return inverse_matrix(size / 2, angle=-strengths)  # torchvision's rotate is counterclockwise


def _to(largest: float) -> Numbers:
    return np.linspace(0, largest, BINS)


_NOTHING = np.zeros(BINS)
_BITS = 8 - np.rint(np.arange(BINS) / ((BINS - 1) / 6))

CHOICES = (
    Choice("Identity", None, _NOTHING, signed=False, values=_none),
    Choice("ShearX", Op.WARP, _to(0.99), signed=True, values=_shear_x),
    Choice("ShearY", Op.WARP, _to(0.99), signed=True, values=_shear_y),
    Choice("TranslateX", Op.WARP, _to(32), signed=True, values=_translate_x),
    Choice("TranslateY", Op.WARP, _to(32), signed=True, values=_translate_y),
    Choice("Rotate", Op.WARP, _to(135), signed=True, values=_rotate),
    Choice("Brightness", Op.BRIGHTNESS, _to(0.99), signed=True, values=_factor),
    Choice("Color", Op.SATURATION, _to(0.99), signed=True, values=_factor),
    Choice("Contrast", Op.CONTRAST, _to(0.99), signed=True, values=_factor),
    Choice("Sharpness", Op.SHARPNESS, _to(0.99), signed=True, values=_factor),
    Choice("Posterize", Op.POSTERIZE, _BITS, signed=False, values=_plain),
    Choice("Solarize", Op.SOLARIZE, np.linspace(255, 0, BINS), signed=False, values=_plain),
    Choice("AutoContrast", Op.AUTOCONTRAST, _NOTHING, signed=False, values=_none),
    Choice("Equalize", Op.EQUALIZE, _NOTHING, signed=False, values=_none),
)


def trivial_changes(seed: int, samples: Samples, size: int) -> Iterator[Change]:
    """Yield one change for each drawn operator, with the samples for which the operator was drawn.

    The draws depend only on (seed, epoch, sample id). `size` is the side of the images in pixels. No change contains a
    sample whose operator is Identity.
    """
    choice, strength = trivial_draws(seed, samples)
    for number, one in enumerate(CHOICES):
        rows = np.flatnonzero(choice == number)
        if one.op is not None and len(rows):
            yield Change(one.op, rows, one.values(strength[rows], size))


def trivial_draws(seed: int, samples: Samples) -> tuple[NDArray[np.int64], Numbers]:
    """Return, for each sample, an index into CHOICES and a signed strength, (n,) each, both drawn uniformly."""
    draws = uniforms(seed, Stream.TRIVIAL, samples.epochs, samples.ids, count=3)
    choice = (draws[:, 0] * len(CHOICES)).astype(np.int64)
    table = np.stack([one.strengths for one in CHOICES])
    strength = table[choice, (draws[:, 1] * BINS).astype(np.int64)]
    negative = np.array([one.signed for one in CHOICES])[choice] & (draws[:, 2] < 0.5)
    return choice, np.where(negative, -strength, strength)
