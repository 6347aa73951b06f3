"""Rotates, shifts, scales and shears images in one warp, like torchvision's RandomAffine.

The random values depend only on (seed, epoch, sample id). Each pixel of the result is copied from the nearest pixel of
the image, as in torchvision by default. Areas outside the image are black.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.views import Samples
from headrace.train.input.augment.warp import inverse_matrix


class Affine(NamedTuple):
    """The ranges of the random warps, as in torchvision's RandomAffine.

    `rotate` and `shear` are the largest angles in degrees. `translate` is the largest shift, as a share of the image's
    side. `scale` is the range of the scale factor.
    """

    rotate: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)


def affine_changes(affine: Affine, seed: int, samples: Samples, size: int) -> Iterator[Change]:
    """Yield one change that warps every image of a group, or nothing if `affine` changes no image.

    `size` is the side of the images in pixels. Values are distributed as in
    `torchvision.transforms.RandomAffine.get_params`: each value is uniform, and shifts are rounded to whole pixels.
    """
    if affine == Affine():
        return
    draws = uniforms(seed, Stream.AFFINE, samples.epochs, samples.ids, count=5)
    angle, shear, right, down = (2 * draws[:, :4] - 1).T * [[affine.rotate], [affine.shear], [1], [1]]
    reach = affine.translate * size
    scale = affine.scale[0] + (affine.scale[1] - affine.scale[0]) * draws[:, 4]
    matrix = inverse_matrix(
        size / 2, angle=angle, translate=(np.rint(reach * right), np.rint(reach * down)), scale=scale, shear=(shear, 0)
    )
    yield Change(Op.WARP, np.arange(len(samples.ids)), matrix)
