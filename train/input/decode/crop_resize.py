"""Views of decoded images, cut and resized on the CPU, to torchvision's pixels."""

import numpy as np
from torch import Tensor

from headrace.train.input.augment.views import Views
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.view_boxes import as_images, boxes_of
from headrace.train.input.kernels.resize import resize_boxes


def resample(images: Images, views: Views, size: int) -> Tensor:
    """The views of n images as uint8 (n, size, size, 3). It does not hold the interpreter's lock meanwhile."""
    made = np.empty((len(views.start), size, 3 * size), np.uint8)
    boxes = boxes_of(images.heights, images.widths, views, size)
    resize_boxes(images.pixels, images.starts, 3 * images.widths, boxes, made)
    return as_images(made)
