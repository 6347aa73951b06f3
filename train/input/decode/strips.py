"""Reads decoded images in strips (blocks of 16 rows), and verifies the checksum of each strip before using its pixels.

The checksum is NH (Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC: Fast and Secure Message Authentication", CRYPTO
1999). Each 32-bit word of a strip is added to a key; the sums are multiplied in pairs, and the 64-bit products are
summed. If the keys are random, two different strips of equal length have the same checksum with a probability of at
most 2^-32. The checksum is fast to compute, because every processor has vector units for sums of products.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headrace.train.input.augment.views import Views
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.regions import Regions
from headrace.train.input.decode.view_boxes import as_images, boxes_of
from headrace.train.input.kernels.arguments import STRIP_ROWS, WORD, Bytes, Integers, Stored, Sums
from headrace.train.input.kernels.resize import resize_strips
from headrace.train.input.kernels.strips import read_strips, sum_strips


class Keys(NamedTuple):
    """The keys of the checksum: 32-bit numbers, stored as uint64, that are added to the 32-bit words of a strip.

    The words are taken in pairs: `low` is added to the first word of each pair, `high` to the second.
    """

    low: Sums
    high: Sums

    @classmethod
    def for_widths(cls, widths: NDArray[np.integer]) -> "Keys":
        """Return keys for images of these widths. Keys for narrow images are a prefix of the keys for wide images."""
        words = -(-3 * STRIP_ROWS * int(widths.max(initial=1)) // WORD)
        drawn = np.frombuffer(hashlib.shake_256(b"headrace strips").digest(WORD * words), "<u4").astype(np.uint64)
        return cls(drawn[0::2].copy(), drawn[1::2].copy())


class Strips:
    """Reads decoded images from a file in strips, and verifies the checksums of the strips.

    The caller keeps the file open.

    `starts` are the images' offsets in the file. `sums` are the checksums of all strips; `first_strips` are the indices
    in `sums` of each image's first strip. With `once`, a strip is verified only when it is read for the first time;
    otherwise, at each read. If an image cannot be read or has changed since it was written, `explain` is called with
    the image's id, and returns the error to raise.
    """

    def __init__(
        self,
        descriptor: int,
        starts: Integers,
        widths: Integers,
        heights: Integers,
        first_strips: Integers,
        sums: Sums,
        *,
        once: bool,
        explain: Callable[[int], Exception],
    ) -> None:
        sound, keys = np.zeros(len(sums), bool), Keys.for_widths(widths)
        self._stored = Stored(descriptor, starts, widths, heights, first_strips, sums, *keys, sound)
        self._once, self._explain = once, explain

    def resample(self, ids: Integers, views: Views, size: int, *, cubic: bool = False) -> Tensor:
        """Return the views of these images as uint8 (n, size, size, 3), without holding the interpreter's lock."""
        stored, made = self._stored, np.empty((len(ids), size, 3 * size), np.uint8)
        boxes = boxes_of(stored.heights[ids], stored.widths[ids], views, size, cubic=cubic)
        self._refuse(ids, resize_strips(stored, self._once, ids, boxes, made))
        return as_images(made)

    def read(self, ids: Integers, regions: Regions) -> tuple[Images, Regions]:
        """Return the strips of each image that contain the given region, and the region that these strips cover."""
        heights, widths = self._stored.heights[ids], self._stored.widths[ids]
        first, last = regions.start[:, 0].astype(np.int64), (regions.start + regions.sides)[:, 0].astype(np.int64)
        top, bottom = first - first % STRIP_ROWS, np.minimum(-(-last // STRIP_ROWS) * STRIP_ROWS, heights)
        sizes = -(-3 * widths * (bottom - top) // WORD) * WORD
        ends = np.cumsum(sizes)
        images = Images(np.empty(int(ends[-1]), np.uint8), ends - sizes, bottom - top, widths)
        self._refuse(ids, read_strips(self._stored, self._once, ids, first, last, images.starts, images.pixels))
        start, sides = np.stack([top, np.zeros_like(top)], 1), np.stack([bottom - top, widths], 1)
        return images, Regions(start.astype(np.int32), sides.astype(np.int32))

    def _refuse(self, ids: Integers, failed: int) -> None:
        if failed >= 0:
            raise self._explain(int(ids[failed]))


def strip_sums(image: Bytes, keys: Keys) -> Sums:
    """Return the checksums of the strips of an image, uint8 (height, width, 3)."""
    padded = np.zeros(-(-image.size // WORD) * WORD, np.uint8)
    padded[: image.size] = image.reshape(-1)
    sums = np.empty(-(-len(image) // STRIP_ROWS), np.uint64)
    sum_strips(padded.view(np.uint64), 3 * STRIP_ROWS * image.shape[1] // WORD, *keys, sums)
    return sums
