"""Rotation, shift, scale and shear in one warp a sample: torchvision's RandomAffine, drawn by (seed, epoch, sample id).

The warp takes the nearest pixel, as torchvision does by default. What comes from outside the image is black.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.views import Samples

Numbers = NDArray[np.float64]


class Affine(NamedTuple):
    """Ranges of torchvision's RandomAffine: degrees, degrees along x, share of the side, factors."""

    rotate: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)


def affine_changes(affine: Affine, seed: int, samples: Samples, size: int) -> Iterator[Change]:
    """The warp of each image of `size` pixels; nothing where all ranges are empty.

    As `torchvision.transforms.RandomAffine.get_params`: all uniform, the shift rounded to whole pixels.
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


def inverse_matrix(
    centre: float,
    *,
    angle: ArrayLike = 0,
    translate: tuple[ArrayLike, ArrayLike] = (0, 0),
    scale: ArrayLike = 1,
    shear: tuple[ArrayLike, ArrayLike] = (0, 0),
) -> Numbers:
    """From output to input coordinates, (n, 6) as a, b, c, d, e, f: x_in = a x + b y + c, y_in = d x + e y + f.

    torchvision's `_get_inverse_affine_matrix` about (centre, centre): degrees clockwise, pixels, factor, degrees along
    x and y; every one a number or (n,). The first pixel's middle is at 0.5, as `PIL.Image.transform` has it.
    """
    turn, (along_x, along_y) = np.radians(angle), np.radians(np.broadcast_arrays(*shear))
    a = np.cos(turn - along_y) / np.cos(along_y)
    b = -np.cos(turn - along_y) * np.tan(along_x) / np.cos(along_y) - np.sin(turn)
    c = np.sin(turn - along_y) / np.cos(along_y)
    d = -np.sin(turn - along_y) * np.tan(along_x) / np.cos(along_y) + np.cos(turn)
    right, down = translate
    rows = []
    for one, other in ((d, -b), (-c, a)):
        one, other = one / scale, other / scale  # noqa: PLW2901  the same two numbers, scaled
        rows += [one, other, one * np.subtract(-centre, right) + other * np.subtract(-centre, down) + centre]
    return np.stack(np.broadcast_arrays(*map(np.atleast_1d, rows)), 1)
