"""Defines the layout of encoded and decoded images in memory."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Jpegs = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]
"""The bytes of n files: one array (n, longest) whose rows are files followed by zeros, or a separate array (bytes,) for
each file."""


class Images(NamedTuple):
    """n images in one array. Each image is uint8 (height, width, 3), without gaps between its rows."""

    pixels: NDArray[np.uint8]  # (bytes,)
    starts: NDArray[np.int64]  # (n,), the first byte of each image
    heights: NDArray[np.int64]  # (n,)
    widths: NDArray[np.int64]  # (n,)

    @classmethod
    def one_after_another(
        cls, pixels: NDArray[np.uint8], heights: NDArray[np.int64], widths: NDArray[np.int64]
    ) -> "Images":
        """Return images of these heights and widths that follow one another in `pixels` without gaps."""
        ends = np.cumsum(3 * heights * widths)
        return cls(pixels, ends - 3 * heights * widths, heights, widths)

    @classmethod
    def of(cls, images: Sequence[NDArray[np.uint8]]) -> "Images":
        """Return images that are copied from separate arrays into one array."""
        heights, widths = np.array([image.shape[:2] for image in images]).T
        return cls.one_after_another(np.concatenate([image.reshape(-1) for image in images]), heights, widths)

    def arrays(self) -> list[NDArray[np.uint8]]:
        """Return each image as a separate array, uint8 (height, width, 3), which shares the memory of `pixels`."""
        columns = (self.starts, self.starts + 3 * self.heights * self.widths, self.heights, self.widths)
        places = zip(*(column.tolist() for column in columns), strict=True)
        return [self.pixels[first:last].reshape(height, width, 3) for first, last, height, width in places]
