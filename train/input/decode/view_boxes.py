"""Converts views to boxes (rectangles of whole pixels) for the resizing loops, and the loops' results to images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headrace.train.input.augment.views import Views, resized_then_cut
from headrace.train.input.kernels.arguments import Boxes


def as_images(made: NDArray[np.uint8]) -> Tensor:
    """Return the squares `made`, uint8 (n, size, 3 * size), as images, (n, size, size, 3), without a copy."""
    return torch.from_numpy(made).view(*made.shape[:2], -1, 3)


def boxes_of(
    heights: NDArray[np.int64], widths: NDArray[np.int64], views: Views, size: int, *, cubic: bool = False
) -> Boxes:
    """Return the boxes for views of images with these heights and widths, (n,) each.

    Each box is cut out and then resized, as in RandomResizedCrop. If `views.short` is set, whole images are resized and
    then cut, as in Resize and CenterCrop.
    """
    count = len(heights)
    if views.short:
        sides = np.stack([heights, widths], 1)
        resized, cut = resized_then_cut(views.short, size, sides, sides.min(1, keepdims=True))
        return Boxes(np.zeros_like(sides), sides, resized, cut, np.zeros(count, bool), cubic)
    (top, one), (bottom, other) = (corner.astype(np.int64).T for corner in (views.start, views.end))
    corners, sides = np.stack([top, np.minimum(one, other)], 1), np.stack([bottom - top, np.abs(other - one)], 1)
    return Boxes(corners, sides, np.full((count, 2), size), np.zeros((count, 2), np.int64), one > other, cubic)
