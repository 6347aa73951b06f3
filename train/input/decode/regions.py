"""Which part of each image has to be decoded for its view: pixels that nobody sees are left out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.augment.views import Views


class Regions(NamedTuple):
    """Rectangles of n images, on whole pixels: int32 (n, 2) as (y, x), and (height, width)."""

    start: NDArray[np.int32]
    sides: NDArray[np.int32]

    @classmethod
    def whole(cls, heights: NDArray[np.int32], widths: NDArray[np.int32]) -> "Regions":
        """All of images of these sizes."""
        sides = np.stack([heights, widths], 1).astype(np.int32)
        return cls(np.zeros_like(sides), sides)

    def moved(self, views: Views) -> Views:
        """The views of the images as views of these regions."""
        start, end = ((corner - self.start).astype(np.float32) for corner in (views.start, views.end))
        return views._replace(start=start, end=end)


def seen(views: Views, heights: NDArray[np.int32], widths: NDArray[np.int32]) -> Regions:
    """What the views show of images of these heights and widths, (n,) each; all of them where they are resized first.

    Of an image's first or last column, two are wanted: nvImageCodec decodes a region with a column of context at each
    side, which these do not have, and libjpeg-turbo interpolates a single sample of the colours differently.
    """
    if views.short:
        return Regions.whole(heights, widths)
    first, last = (choose(views.start, views.end).astype(np.int32) for choose in (np.minimum, np.maximum))
    first[:, 1] = np.minimum(first[:, 1], np.maximum(widths - 2, 0))
    last[:, 1] = np.maximum(last[:, 1], np.minimum(2, widths))
    return Regions(first, last - first)
