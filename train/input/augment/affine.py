"""Rotation, shift, scale and shear in one warp: torchvision's RandomAffine, drawn by (seed, epoch, sample id).

The warp takes the nearest pixel, as torchvision does by default. Areas outside the image are black.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.views import Samples
from headrace.train.input.augment.warp import inverse_matrix


class Affine(NamedTuple):
    """Ranges of torchvision's RandomAffine: rotation and shear in degrees, shift as a share of the side, scale."""

    rotate: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)


def affine_changes(affine: Affine, seed: int, samples: Samples, size: int) -> Iterator[Change]:
    """Yield the warp of each image of `size` pixels, or nothing if all ranges are empty.

    Draws are distributed as in `torchvision.transforms.RandomAffine.get_params`: uniform, shifts in whole pixels.
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
