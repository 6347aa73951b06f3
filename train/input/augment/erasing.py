"""Random erasing (Zhong et al., arXiv:1708.04896): fills a rectangle in some images with the mean colour."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.views import ATTEMPTS, Samples, tried_sides


class Erasing(NamedTuple):
    """The parameters of random erasing.

    `chance` is the probability that an image gets a rectangle. `area` is the range of the rectangle's share of the
    image's area. `ratio` is the range of the rectangle's height divided by its width. `colour` is (red, green, blue),
    each from 0 to 255.
    """

    chance: float = 0.0
    area: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    colour: tuple[int, int, int] = (0, 0, 0)


def erasing_changes(erasing: Erasing, seed: int, samples: Samples, size: int) -> Iterator[Change]:
    """Yield one change that fills a rectangle in some images of a group, or nothing if no image gets a rectangle.

    `size` is the side of the images in pixels. Rectangles depend only on (seed, epoch, sample id), and are distributed
    as in `torchvision.transforms.RandomErasing`. For each image, up to ten rectangles are drawn, with a uniform area
    and a log-uniform ratio. A rectangle fits if it has at least one pixel and is smaller than the image in both
    directions. The first rectangle that fits is used, at a uniformly random position. If none fits, the image is not
    changed.
    """
    if not erasing.chance:
        return
    chosen = uniforms(seed, Stream.ERASE, samples.epochs, samples.ids, 2 * ATTEMPTS, count=1)[:, 0] < erasing.chance
    sides = np.full(len(samples.ids), size)
    resized, limits = samples._replace(widths=sides, heights=sides), (sides - 1.0, sides - 1.0)
    height, width = tried_sides(seed, Stream.ERASE, resized, erasing.area, erasing.ratio, limits)
    rows = np.flatnonzero(chosen & (height > 0))
    if not len(rows):
        return
    some, height, width = samples.only(rows), height[rows], width[rows]
    place = uniforms(seed, Stream.ERASE, some.epochs, some.ids, 2 * ATTEMPTS + 1, count=2)
    top, left = np.floor(place[:, 0] * (size - height + 1)), np.floor(place[:, 1] * (size - width + 1))
    box = np.stack([top, left, top + height, left + width], 1)
    yield Change(Op.ERASE, rows, np.concatenate([box, np.tile(erasing.colour, (len(rows), 1))], 1))
