"""Holds encoded images from outside a shard set until they are decoded."""

import numpy as np
from numpy.typing import NDArray

from headrace.shards.encoded import Ready

_FIRST = 1024


class Loose:
    """A source of encoded images that grows: an image is added, decoded by its id, and then forgotten.

    Only one thread may add images; other threads may meanwhile read images that have been added.
    """

    def __init__(self) -> None:
        self._heights: NDArray[np.int32] = np.zeros(_FIRST, np.int32)
        self._widths: NDArray[np.int32] = np.zeros(_FIRST, np.int32)
        self._count = 0
        self._images: dict[int, Ready] = {}

    def add(self, image: Ready) -> int:
        """Add an image, and return its id."""
        number = self._count
        if number == len(self._heights):
            self._heights = np.concatenate([self._heights, np.zeros_like(self._heights)])
            self._widths = np.concatenate([self._widths, np.zeros_like(self._widths)])
        self._heights[number], self._widths[number] = image.height, image.width
        self._images[number] = image
        self._count += 1
        return number

    def forget(self, sample_id: int) -> None:
        """Release the bytes of an image. The image's id is not given to another image."""
        del self._images[sample_id]

    @property
    def heights(self) -> NDArray[np.int32]:
        """The heights of the upright images in pixels, with the image's id as index."""
        return self._heights

    @property
    def widths(self) -> NDArray[np.int32]:
        """The widths of the upright images in pixels, with the image's id as index."""
        return self._widths

    def __len__(self) -> int:
        return self._count

    def file_sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the sizes of the files of these images in bytes."""
        return np.array([len(self._images[one].data) for one in ids.tolist()], np.int32)

    def jpegs(self, ids: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """Return the encoded bytes of these images, one uint8 array (bytes,) for each."""
        return [np.frombuffer(self._images[one].data, np.uint8) for one in ids.tolist()]

    def describe(self, sample_id: int) -> str:
        """Return the name of an image."""
        return self._images[sample_id].name
