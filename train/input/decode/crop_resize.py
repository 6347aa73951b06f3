"""Cuts out and resizes views of decoded images on the CPU; the pixels are the same as torchvision's."""

import numpy as np
from torch import Tensor

from headrace.train.input.augment.views import Views
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.view_boxes import as_images, boxes_of
from headrace.train.input.kernels.resize import resize_boxes


def resample(images: Images, views: Views, size: int, *, cubic: bool = False) -> Tensor:
    """Return the views of n images as uint8 (n, size, size, 3), resized with antialiased bilinear or bicubic filters.

    The interpreter's lock is not held during the resize.
    """
    made = np.empty((len(views.start), size, 3 * size), np.uint8)
    boxes = boxes_of(images.heights, images.widths, views, size, cubic=cubic)
    resize_boxes(images.pixels, images.starts, 3 * images.widths, boxes, made)
    return as_images(made)
