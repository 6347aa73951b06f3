"""Finds the region of each image that its view needs, so that only this region is decoded."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.augment.views import Views


class Regions(NamedTuple):
    """One rectangle in each of n images: `start` (y, x) and `sides` (height, width), in pixels, int32 (n, 2) each."""

    start: NDArray[np.int32]
    sides: NDArray[np.int32]

    @classmethod
    def whole(cls, heights: NDArray[np.int32], widths: NDArray[np.int32]) -> "Regions":
        """Return regions that cover whole images of these sizes."""
        sides = np.stack([heights, widths], 1).astype(np.int32)
        return cls(np.zeros_like(sides), sides)

    def moved(self, views: Views) -> Views:
        """Convert views from coordinates of the images to coordinates of these regions."""
        start, end = ((corner - self.start).astype(np.float32) for corner in (views.start, views.end))
        return views._replace(start=start, end=end)


def seen(views: Views, heights: NDArray[np.int32], widths: NDArray[np.int32]) -> Regions:
    """Return the region of each image that its view shows; `heights` and `widths` of the images are (n,) each.

    If images are resized before squares are cut out, the regions are the whole images. A region that has only the first
    or last column of an image is widened to two columns. nvImageCodec decodes one more column on each side of a region,
    except beyond the image's edge. Without the second column, there could be a single column of chroma samples, which
    libjpeg-turbo interpolates differently.
    """
    if views.short:
        return Regions.whole(heights, widths)
    first, last = (choose(views.start, views.end).astype(np.int32) for choose in (np.minimum, np.maximum))
    first[:, 1] = np.minimum(first[:, 1], np.maximum(widths - 2, 0))
    last[:, 1] = np.maximum(last[:, 1], np.minimum(2, widths))
    return Regions(first, last - first)
