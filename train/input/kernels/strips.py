"""Reads and checks strips (blocks of 16 rows of an image) in compiled loops for `train/input/decode/strips.py`."""

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
    """Write the checksums of the strips in `words` to `sums`. Each strip but the last has `each` words of 64 bits."""
    for strip in range(len(sums)):
        sums[strip] = _sum_of(words[strip * each : (strip + 1) * each], low, high)


@jit
def _sum_of(words: Sums, low: Sums, high: Sums) -> np.uint64:
    """Return the checksum NH (see `train/input/decode/strips.py`) of a strip, given as pairs of 32-bit words."""
    total = np.uint64(0)
    for i in range(len(words)):
        total += ((words[i] + low[i]) & _LOW) * (((words[i] >> _HIGH) + high[i]) & _LOW)
    return total


@jit_or(plain.read_strips)
def read_strips(
    stored: Stored, once: bool, ids: Integers, first: Integers, last: Integers, starts: Integers, held: Bytes
) -> int:
    """Read the strips that contain the rows first[i] to last[i] (excluded) of each image i into held[starts[i] :].

    Returns the index of the first damaged image, or -1 if all are sound.
    """
    for i in range(len(ids)):
        if read_checked(stored, once, ids[i], first[i], last[i], held[starts[i] :]) == UNSOUND:
            return i
    return -1


@jit
def read_checked(stored: Stored, once: bool, image: int, first: int, last: int, held: Bytes) -> int:
    """Read the strips with rows `first` to `last` (excluded) of an image into `held`, and pad the last word with 0.

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
