"""Interfaces for reading image files, by id (`Encoded`) or in a given order (`Images`), and the types of results."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.shards.prepared import Prepared

_PART = 1 << 18  # images that are processed together


class Encoded(Protocol):
    """A source of encoded images that are read by id, such as a split of a shard set or a list of loose files."""

    @property
    def heights(self) -> NDArray[np.int32]:
        """Heights of the upright images in pixels."""

    @property
    def widths(self) -> NDArray[np.int32]:
        """Widths of the upright images in pixels."""

    def __len__(self) -> int: ...

    def file_sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """The sizes in bytes of the image files with these ids, (n,)."""

    def jpegs(self, ids: NDArray[np.int64]) -> Sequence[NDArray[np.uint8]]:
        """The files of the images with these ids, uint8 (bytes,) each. Raises DataError if a file has changed."""

    def describe(self, sample_id: int) -> str:
        """The name of the image with this id, for messages."""


def mean_pixels(images: Encoded) -> float:
    """Mean area of the images in pixels; there must be at least one image.

    The images are processed in parts, to save memory.
    """
    areas = (images.heights[part].astype(np.int64) * images.widths[part] for part in _parts(images))
    return sum(int(some.sum()) for some in areas) / len(images)


def mean_file_size(images: Encoded) -> float:
    """Mean size of the images' files in bytes; there must be at least one image."""
    ids = (np.arange(part.start, part.stop) for part in _parts(images))
    return sum(int(images.file_sizes(some).sum(dtype=np.int64)) for some in ids) / len(images)


def _parts(images: Encoded) -> Iterator[slice]:
    return (slice(first, min(first + _PART, len(images))) for first in range(0, len(images), _PART))


class Ready(NamedTuple):
    """An image that can be decoded: its name, the bytes to decode, and the sides of the upright image in pixels."""

    name: str
    data: bytes
    width: int
    height: int


class Unreadable(NamedTuple):
    """An image that cannot be used, and the reason."""

    name: str
    reason: str


Given = Ready | Unreadable


class Images(Protocol):
    """A sequence of images, each of which is read on request."""

    def __len__(self) -> int: ...

    def read(self, places: Iterable[int], prepared: Prepared) -> Iterator[Given]:
        """Yield the images at the indexes `places`, in this order.

        Each image has the bytes that prep would store with the options `prepared`.
        """
