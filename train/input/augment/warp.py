"""Computes the matrix of a warp: rotation, shear, shift and scale about a point, as torchvision composes them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]


def inverse_matrix(
    centre: float,
    *,
    angle: ArrayLike = 0,
    translate: tuple[ArrayLike, ArrayLike] = (0, 0),
    scale: ArrayLike = 1,
    shear: tuple[ArrayLike, ArrayLike] = (0, 0),
) -> Numbers:
    """Return the coefficients a to f, (n, 6), of the map from coordinates of the result to coordinates of the input.

    The map is x_in = a x + b y + c, y_in = d x + e y + f. torchvision's `_get_inverse_affine_matrix` computes the same
    map; (centre, centre) is the point that rotation, shear and scale leave in place. `angle` is in degrees clockwise,
    `translate` in pixels, `scale` a factor, and `shear` in degrees along x and y. Each of these values is one number
    for all images, or an array (n,). The centre of the first pixel is at 0.5, as in `PIL.Image.transform`.
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
