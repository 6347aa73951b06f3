"""Reads and checks strips of images' rows in compiled loops; `train/input/decode/strips.py` defines the strips."""

import numpy as np

from headrace.train.input.kernels import plain
from headrace.train.input.kernels.arguments import STRIP_ROWS, UNSOUND, WORD, Bytes, Integers, Stored, Sums
from headrace.train.input.kernels.jit import MISSING, jit, jit_or

if not MISSING:
    from headrace.train.input.kernels.libc import pread

_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)  # shift to the upper word


@jit_or(plain.sum_strips)
def sum_strips(words: Sums, each: int, low: Sums, high: Sums, sums: Sums) -> None:
    """Write the checksums of the strips in `words` to `sums`. Each strip except the last has `each` words."""
    for strip in range(len(sums)):
        sums[strip] = _sum_of(words[strip * each : (strip + 1) * each], low, high)


@jit
def _sum_of(words: Sums, low: Sums, high: Sums) -> np.uint64:
    """Return the checksum NH of these pairs of words."""
    total = np.uint64(0)
    for i in range(len(words)):
        total += ((words[i] + low[i]) & _LOW) * (((words[i] >> _HIGH) + high[i]) & _LOW)
    return total


@jit_or(plain.read_strips)
def read_strips(
    stored: Stored, once: bool, ids: Integers, first: Integers, last: Integers, starts: Integers, held: Bytes
) -> int:
    """Read the strips with rows first[i] to last[i] of each image i into `held`, from byte starts[i] on.

    Returns the index of the first damaged image, or -1 if all are sound.
    """
    for i in range(len(ids)):
        if read_checked(stored, once, ids[i], first[i], last[i], held[starts[i] :]) == UNSOUND:
            return i
    return -1


@jit
def read_checked(stored: Stored, once: bool, image: int, first: int, last: int, held: Bytes) -> int:
    """Read the strips with rows `first` to `last` of an image into `held`, followed by zeros up to the end of a word.

    Returns the first row of these strips, or UNSOUND if a strip is missing or damaged.
    """
    pitch, strip, end = 3 * stored.widths[image], first // STRIP_ROWS, -(-last // STRIP_ROWS)
    top = strip * STRIP_ROWS
    size, each = (min(end * STRIP_ROWS, stored.heights[image]) - top) * pitch, STRIP_ROWS * pitch // WORD
    if pread(stored.descriptor, held.ctypes.data, size, stored.starts[image] + top * pitch) != size:
        return UNSOUND
    padded = -(-size // WORD) * WORD
    held[size:padded] = 0
    words = held[:padded].view(np.uint64)
    for place in range(end - strip):
        number = stored.strips[image] + strip + place
        if not stored.sound[number]:
            if _sum_of(words[place * each : (place + 1) * each], stored.low, stored.high) != stored.sums[number]:
                return UNSOUND
            stored.sound[number] = once
    return top
