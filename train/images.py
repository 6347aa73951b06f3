"""Decoded images as they lie in memory."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_PART_BYTES = 1 << 24


class Images(NamedTuple):
    """n images in one array, each uint8 (height, width, 3), without gaps between its rows."""

    pixels: NDArray[np.uint8]  # (bytes,)
    starts: NDArray[np.int64]  # (n,), the byte where each begins
    heights: NDArray[np.int64]  # (n,)
    widths: NDArray[np.int64]  # (n,)

    @classmethod
    def alike(cls, whole: NDArray[np.uint8]) -> "Images":
        """Those of an array (n, height, width, 3)."""
        count, height, width, _ = whole.shape
        starts = np.arange(count, dtype=np.int64) * (height * width * 3)
        return cls(whole.reshape(-1), starts, np.full(count, height), np.full(count, width))

    @classmethod
    def of(cls, images: Sequence[NDArray[np.uint8]]) -> "Images":
        """Those of separate arrays, copied together."""
        ends = np.cumsum([image.size for image in images])
        heights, widths = np.array([image.shape[:2] for image in images]).T
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        return cls(np.concatenate([image.reshape(-1) for image in images]), starts, heights, widths)

    def arrays(self) -> list[NDArray[np.uint8]]:
        """Each as a view, uint8 (height, width, 3)."""
        columns = (self.starts, self.starts + 3 * self.heights * self.widths, self.heights, self.widths)
        places = zip(*(column.tolist() for column in columns), strict=True)
        return [self.pixels[first:last].reshape(height, width, 3) for first, last, height, width in places]


Parts = Iterator[tuple[slice, Images]]
"""The images of a batch, some rows at a time."""


def all_at_once(images: Images) -> Parts:
    """As one part."""
    yield slice(0, len(images.starts)), images


def copied_together(images: Sequence[NDArray[np.uint8]]) -> Parts:
    """Separate arrays, as many at a time as a small copy holds."""
    each = max(1, _PART_BYTES // max(image.nbytes for image in images))
    for first, last in pairwise([*range(0, len(images), each), len(images)]):
        yield slice(first, last), Images.of(images[first:last])
