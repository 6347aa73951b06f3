"""Views of decoded images, cut and resized on the CPU, to torchvision's pixels."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.augment import Views, resized_then_cut
from train.bilinear import resize_boxes
from train.images import Images


def resample(images: Images, views: Views, size: int) -> Tensor:
    """The views of n images as uint8 (n, size, size, 3). It does not hold the interpreter's lock meanwhile."""
    made = np.empty((len(views.start), size, 3 * size), np.uint8)
    resize_boxes(*_boxes(images, views, size), made)
    return torch.from_numpy(made).view(-1, size, size, 3)


class _Boxes(NamedTuple):
    """What `resize_boxes` is told of n images besides their pixels."""

    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    pitches: NDArray[np.int64]
    sides: NDArray[np.int64]
    resized: NDArray[np.int64]
    cut: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def _boxes(images: Images, views: Views, size: int) -> _Boxes:
    """RandomResizedCrop with the boxes of the views, or Resize and CenterCrop of whole images."""
    pitches, count, pixels = 3 * images.widths, len(images.starts), images.pixels.view()
    pixels.flags.writeable = False  # as those of the cache are: for numba it is another type, compiled apart
    if views.short:
        sides = np.stack([images.heights, images.widths], 1)
        resized, cut = resized_then_cut(views.short, size, sides, sides.min(1, keepdims=True))
        return _Boxes(pixels, images.starts, pitches, sides, resized, cut, np.zeros(count, bool))
    (top, one), (bottom, other) = (corner.astype(np.int64).T for corner in (views.start, views.end))
    starts = images.starts + top * pitches + 3 * np.minimum(one, other)
    sides = np.stack([bottom - top, np.abs(other - one)], 1)
    square, nothing = np.full((count, 2), size), np.zeros((count, 2), np.int64)
    return _Boxes(pixels, starts, pitches, sides, square, nothing, one > other)
