"""Decoded images in strips of rows: each strip has a checksum, and what is read of a file is checked before it is seen.

A checksum is NH (Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC: Fast and Secure Message Authentication",
CRYPTO 1999): words of 32 bits are added to keys and multiplied in pairs, and the products, of 64 bits, are summed. For
keys that are random, any two strips of equal length have the same sum with a chance of 2^-32 at most, whatever differs
between them; and it is a sum of products, for which every processor has vectors.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headrace.train.input.augment.views import Views
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.cache import STRIP_ROWS
from headrace.train.input.decode.regions import Regions
from headrace.train.input.decode.view_boxes import as_images, boxes_of
from headrace.train.input.kernels.filters import Boxes, Bytes, Integers, choose_filters, space_for
from headrace.train.input.kernels.jit import jit
from headrace.train.input.kernels.libc import pread
from headrace.train.input.kernels.resize import resize_box

Sums = NDArray[np.uint64]
_WORD = 8  # bytes: a pair of 32-bit words
_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)  # bits below them
_UNSOUND = -1


class Keys(NamedTuple):
    """What is added to the words of a strip, as numbers of 64 bits: for the lower word of each pair, and the upper."""

    low: Sums
    high: Sums

    @classmethod
    def for_widths(cls, widths: NDArray[np.integer]) -> "Keys":
        """Keys for strips of images of these widths: those for narrow ones are the first of those for wide ones."""
        words = -(-3 * STRIP_ROWS * int(widths.max(initial=1)) // _WORD)
        drawn = np.frombuffer(hashlib.shake_256(b"headrace strips").digest(_WORD * words), "<u4").astype(np.uint64)
        return cls(drawn[0::2].copy(), drawn[1::2].copy())


class _Stored(NamedTuple):
    """Images in a file, and what is known of them. Within an image there are no gaps."""

    descriptor: int
    starts: Integers  # (n,), bytes of the file
    widths: Integers  # (n,)
    heights: Integers  # (n,)
    strips: Integers  # (n,), the first of each image
    sums: Sums  # (strips,)
    low: Sums
    high: Sums
    sound: NDArray[np.bool_]  # (strips,), those that need no check any more


class Strips:
    """Reads images of an open file, in strips that are checked; the file stays the caller's.

    `starts` are their places in the file, `first_strips` those of their checksums in `sums`. With `once` a strip is
    checked when it is read for the first time, otherwise each time. `explain` makes the error that is raised where an
    image cannot be read, or is not what was written.
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
        self._stored = _Stored(descriptor, starts, widths, heights, first_strips, sums, *keys, sound)
        self._once, self._explain = once, explain

    def resample(self, ids: Integers, views: Views, size: int) -> Tensor:
        """The views of these images as uint8 (n, size, size, 3). It does not hold the interpreter's lock meanwhile."""
        stored, made = self._stored, np.empty((len(ids), size, 3 * size), np.uint8)
        boxes = boxes_of(stored.heights[ids], stored.widths[ids], views, size)
        self._refuse(ids, _resize_strips(stored, self._once, ids, boxes, made))
        return as_images(made)

    def read(self, ids: Integers, regions: Regions) -> tuple[Images, Regions]:
        """The strips of these images in which the regions lie, and which part of the images they are."""
        heights, widths = self._stored.heights[ids], self._stored.widths[ids]
        first, last = regions.start[:, 0].astype(np.int64), (regions.start + regions.sides)[:, 0].astype(np.int64)
        top, bottom = first - first % STRIP_ROWS, np.minimum(-(-last // STRIP_ROWS) * STRIP_ROWS, heights)
        sizes = -(-3 * widths * (bottom - top) // _WORD) * _WORD
        ends = np.cumsum(sizes)
        images = Images(np.empty(int(ends[-1]), np.uint8), ends - sizes, bottom - top, widths)
        self._refuse(ids, _read_strips(self._stored, self._once, ids, first, last, images.starts, images.pixels))
        start, sides = np.stack([top, np.zeros_like(top)], 1), np.stack([bottom - top, widths], 1)
        return images, Regions(start.astype(np.int32), sides.astype(np.int32))

    def _refuse(self, ids: Integers, failed: int) -> None:
        if failed >= 0:
            raise self._explain(int(ids[failed]))


def strip_sums(image: Bytes, keys: Keys) -> Sums:
    """The checksums of the strips of an image, uint8 (height, width, 3)."""
    padded = np.zeros(-(-image.size // _WORD) * _WORD, np.uint8)
    padded[: image.size] = image.reshape(-1)
    sums = np.empty(-(-len(image) // STRIP_ROWS), np.uint64)
    _sum_strips(padded.view(np.uint64), 3 * STRIP_ROWS * image.shape[1] // _WORD, *keys, sums)
    return sums


@jit
def _sum_strips(words: Sums, each: int, low: Sums, high: Sums, sums: Sums) -> None:
    """The sums of the strips that these words are, `each` of them a strip, but for the last."""
    for strip in range(len(sums)):
        sums[strip] = _sum_of(words[strip * each : (strip + 1) * each], low, high)


@jit
def _sum_of(words: Sums, low: Sums, high: Sums) -> np.uint64:
    """NH of these pairs of words."""
    total = np.uint64(0)
    for i in range(len(words)):
        total += ((words[i] + low[i]) & _LOW) * (((words[i] >> _HIGH) + high[i]) & _LOW)
    return total


@jit
def _resize_strips(stored: _Stored, once: bool, ids: Integers, boxes: Boxes, made: Bytes) -> int:
    """As `resize_boxes`, an image at a time from the file. Returns the place of the first that is unsound, or -1."""
    space, longest = space_for(boxes, made.shape[1]), 0
    for image in ids:
        longest = max(longest, 3 * stored.widths[image] * stored.heights[image])
    held = np.empty(longest + _WORD, np.uint8)
    for i in range(len(ids)):
        image, pitch, chosen = ids[i], 3 * stored.widths[ids[i]], choose_filters(boxes, i, space)
        first = boxes.corners[i, 0]
        top = _read_rows(stored, once, image, first + chosen.begin, first + chosen.end, held)
        if top == _UNSOUND:
            return i
        resize_box(held, (first - top) * pitch, pitch, boxes, i, chosen, space, made[i])
    return -1


@jit
def _read_strips(
    stored: _Stored, once: bool, ids: Integers, first: Integers, last: Integers, starts: Integers, held: Bytes
) -> int:
    """Rows first[i] to last[i] of each image, with the rest of their strips, at byte starts[i]; returns as above."""
    for i in range(len(ids)):
        if _read_rows(stored, once, ids[i], first[i], last[i], held[starts[i] :]) == _UNSOUND:
            return i
    return -1


@jit
def _read_rows(stored: _Stored, once: bool, image: int, first: int, last: int, held: Bytes) -> int:
    """The strips in which rows `first` to `last` of an image lie, into `held`, with zeros to the end of a word.

    Returns the row of the image that comes first, or _UNSOUND.
    """
    pitch, strip, end = 3 * stored.widths[image], first // STRIP_ROWS, -(-last // STRIP_ROWS)
    top = strip * STRIP_ROWS
    size, each = (min(end * STRIP_ROWS, stored.heights[image]) - top) * pitch, STRIP_ROWS * pitch // _WORD
    if pread(stored.descriptor, held.ctypes.data, size, stored.starts[image] + top * pitch) != size:
        return _UNSOUND
    padded = -(-size // _WORD) * _WORD
    held[size:padded] = 0
    words = held[:padded].view(np.uint64)
    for place in range(end - strip):
        number = stored.strips[image] + strip + place
        if not stored.sound[number]:
            if _sum_of(words[place * each : (place + 1) * each], stored.low, stored.high) != stored.sums[number]:
                return _UNSOUND
            stored.sound[number] = once
    return top
