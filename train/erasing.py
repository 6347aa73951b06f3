"""Random erasing (Zhong et al., arXiv:1708.04896): a rectangle of some images becomes the mean colour."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shards.draws import Stream, uniforms
from train.augment import Samples
from train.change import Change, Op

_ATTEMPTS = 10  # torchvision.transforms.RandomErasing.get_params gives up as late


class Erasing(NamedTuple):
    """The chance of an image, shares of its area, height-to-width ratios, and what is put there (red, green, blue)."""

    chance: float = 0.0
    area: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    colour: tuple[int, int, int] = (0, 0, 0)


def erasing_changes(erasing: Erasing, seed: int, samples: Samples, size: int) -> Iterator[Change]:
    """The rectangles of those images of `size` pixels that get one, by (seed, epoch, sample id).

    Follows `torchvision.transforms.RandomErasing`: up to ten tries of (area, log-uniform ratio), the first rectangle
    that is smaller than the image in both directions, and has a pixel, is placed uniformly; where none is, the image
    stays as it is.
    """
    if not erasing.chance:
        return
    chosen = uniforms(seed, Stream.ERASE, samples.epochs, samples.ids, 2 * _ATTEMPTS, count=1)[:, 0] < erasing.chance
    height, width = _shapes(erasing, seed, samples, size)
    rows = np.flatnonzero(chosen & (height > 0))
    if not len(rows):
        return
    some, height, width = samples.only(rows), height[rows], width[rows]
    place = uniforms(seed, Stream.ERASE, some.epochs, some.ids, 2 * _ATTEMPTS + 1, count=2)
    top, left = np.floor(place[:, 0] * (size - height + 1)), np.floor(place[:, 1] * (size - width + 1))
    box = np.stack([top, left, top + height, left + width], 1)
    yield Change(Op.ERASE, rows, np.concatenate([box, np.tile(erasing.colour, (len(rows), 1))], 1))


def _shapes(
    erasing: Erasing, seed: int, samples: Samples, size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights and widths of the rectangles, 0 where no try fitted."""
    height, width = np.zeros((2, len(samples.ids)))
    log_ratio = np.log(erasing.ratio)
    for attempt in range(_ATTEMPTS):
        draw = uniforms(seed, Stream.ERASE, samples.epochs, samples.ids, attempt, count=2)
        area = (erasing.area[0] + (erasing.area[1] - erasing.area[0]) * draw[:, 0]) * size**2
        ratio = np.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * draw[:, 1])
        high, wide = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
        fits = (height == 0) & (high > 0) & (high < size) & (wide > 0) & (wide < size)
        height[fits], width[fits] = high[fits], wide[fits]
        if (height > 0).all():
            break
    return height, width
