"""Images as files: what is decoded from, and what a source of images hands out."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.shards.prepared import Prepared

_PART = 1 << 18  # images that are looked at together


class Encoded(Protocol):
    """Where encoded images come from, by their ids. A split of a shard set is one, a list of loose files another."""

    @property
    def heights(self) -> NDArray[np.int32]:
        """Of the upright images, pixels."""

    @property
    def widths(self) -> NDArray[np.int32]:
        """The same."""

    def __len__(self) -> int: ...

    def file_sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Of the files of these images, bytes."""

    def jpegs(self, ids: NDArray[np.int64]) -> Sequence[NDArray[np.uint8]]:
        """The files of these images, uint8 (bytes,) each. DataError where one is not what it was."""

    def describe(self, sample_id: int) -> str:
        """The name of an image, for messages."""


def mean_pixels(images: Encoded) -> float:
    """Mean area of the images, at least one, in pixels; a part of a large set at a time."""
    areas = (images.heights[part].astype(np.int64) * images.widths[part] for part in _parts(images))
    return sum(int(some.sum()) for some in areas) / len(images)


def mean_file_size(images: Encoded) -> float:
    """Mean size of the files, at least one, in bytes."""
    ids = (np.arange(part.start, part.stop) for part in _parts(images))
    return sum(int(images.file_sizes(some).sum(dtype=np.int64)) for some in ids) / len(images)


def _parts(images: Encoded) -> Iterator[slice]:
    return (slice(first, min(first + _PART, len(images))) for first in range(0, len(images), _PART))


class Ready(NamedTuple):
    """An image that has been admitted: the bytes to decode, and the sides of the upright image."""

    name: str
    data: bytes
    width: int
    height: int


class Unreadable(NamedTuple):
    """An image that cannot be used, and why."""

    name: str
    reason: str


Given = Ready | Unreadable


class Images(Protocol):
    """Images in order, each read when it is asked for."""

    def __len__(self) -> int: ...

    def read(self, places: Iterable[int], prepared: Prepared) -> Iterator[Given]:
        """The images at these places, in that order, as prep would store them with these options."""
