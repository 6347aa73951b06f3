"""Antialiased bilinear resizing of 8-bit images on a CPU: the bits of torch, several times as fast.

The arithmetic is that of torch's kernel for uint8 (aten/src/ATen/native/cpu/UpSampleKernelAVXAntialias.h), which
torchvision's transforms of tensors call and which follows Pillow's: weights are rounded to 16-bit fixed point, with as
many fractional bits as the largest weight of an axis leaves; rows go first and are rounded to bytes, then columns.
"""

import numpy as np
from numpy.typing import NDArray

from train.jit import jit
from train.vector import blended_pixels, weighted_pixel

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Weights = NDArray[np.int32]
_MOST_BITS = 22
MOST_FILTERS, _MOST_WEIGHTS = 64, 1 << 20  # that are kept


@jit
def resize_boxes(
    pixels: Bytes,
    starts: Integers,
    pitches: Integers,
    sides: Integers,
    resized: Integers,
    cut: Integers,
    mirrored: NDArray[np.bool_],
    made: Bytes,
) -> None:
    """Boxes of images in `pixels` (bytes,) become squares `made`, (n, size, 3 * size) of red, green, blue.

    Box i begins at byte starts[i], a row of its image after pitches[i] bytes, and has sides[i] = (height, width). It
    is resized to resized[i] = (height, width); of that the square whose first pixel is cut[i] = (row, column) is kept,
    and turned from left to right where mirrored[i]. Nothing outside the box is seen.
    """
    size, (high, wide, longest, reach) = made.shape[1], _largest(sides, resized)
    rows, sums = np.empty(high * 3 * size + 2, np.uint8), np.empty(3 * size, np.int32)
    edge = np.zeros(3 * (wide + reach) + 1, np.uint8)
    kept = max(1, min(MOST_FILTERS, _MOST_WEIGHTS // (longest * reach)))
    known, exact = np.zeros((kept, 4), np.int64), np.empty((longest, reach), np.float64)
    firsts, weights = np.empty((kept, longest), np.int64), np.empty((kept, longest, reach), np.int32)
    first, across = np.empty(size, np.int64), np.empty((size, reach), np.int32)
    for i in range(len(starts)):
        (height, width), (top, left) = sides[i], cut[i]
        column = _filter(width, resized[i, 1], known, firsts, weights, exact)
        taps, bits = known[column, 2], known[column, 3]
        _copy(firsts[column, left : left + size], weights[column, left : left + size], mirrored[i], first, across)
        row = _filter(height, resized[i, 0], known, firsts, weights, exact)
        taps_down, bits_down, first_row = known[row, 2], known[row, 3], firsts[row, top : top + size]
        begin, end = first_row[0], min(first_row[size - 1] + taps_down, height)
        _along_rows(
            pixels, starts[i] + begin * pitches[i], pitches[i], width, end - begin, first, across, taps, bits, edge,
            rows, size,
        )  # fmt: skip
        _down_columns(
            rows, first_row, begin, end - begin, weights[row, top : top + size], taps_down, bits_down, sums, made[i]
        )


@jit
def _largest(sides: Integers, resized: Integers) -> tuple[int, int, int, int]:
    """The largest height and width of a box, side that one is resized to, and reach of a pixel; at least 1 each."""
    high, wide, longest, reach = 1, 1, 1, 1
    for i in range(len(sides)):
        high, wide = max(high, sides[i, 0]), max(wide, sides[i, 1])
        longest = max(longest, resized[i, 0], resized[i, 1])
        reach = max(reach, _reach(sides[i, 0], resized[i, 0]), _reach(sides[i, 1], resized[i, 1]))
    return high, wide, longest, reach


@jit
def _reach(old: int, new: int) -> int:
    """How many pixels of `old` one of `new` may see along an axis."""
    return 2 * int(np.ceil(max(old / new, 1.0))) + 1


@jit
def _filter(
    old: int,
    new: int,
    known: Integers,
    firsts: Integers,
    weights: Weights,
    exact: NDArray[np.float64],
) -> int:
    """The place of the filter for an axis of `old` pixels that becomes `new`, made where it is not there from before.

    known[place] is (old, new, taps, bits); what lies at the same place in `firsts` and `weights` is said by `_weigh`.
    Images of one size, cut at random, share few filters, which otherwise cost as much as the pixels of a small image.
    """
    place = old % len(known)
    if known[place, 0] != old or known[place, 1] != new:
        taps, bits = _weigh(old, new, firsts[place], weights[place], exact)
        known[place, 0], known[place, 1], known[place, 2], known[place, 3] = old, new, taps, bits
    return place


@jit
def _copy(first: Integers, weights: Weights, mirrored: bool, to_first: Integers, to_weights: Weights) -> None:
    """The part of a filter that is kept, in the order of the pixels that are made."""
    count = len(first)
    for i in range(count):
        j = count - 1 - i if mirrored else i
        to_first[j] = first[i]
        for tap in range(weights.shape[1]):
            to_weights[j, tap] = weights[i, tap]


@jit
def _weigh(old: int, new: int, first: Integers, weights: Weights, exact: NDArray[np.float64]) -> tuple[int, int]:
    """The triangle filter along an axis: for each of `new` pixels the first that it sees, and what each counts.

    Fills `first` (new,) and `weights` (new, reach), with zeros after those that are seen, and uses `exact` meanwhile.
    Returns how many pixels one sees at the most, two at the least, and the fractional bits of the weights.
    """
    scale = old / new
    support, shrink = max(scale, 1.0), 1.0 / max(scale, 1.0)
    most, largest = 2, 0.0
    for i in range(new):
        centre = scale * (i + 0.5)
        first[i] = max(int(centre - support + 0.5), 0)
        count = min(int(centre + support + 0.5), old) - first[i]
        total = 0.0
        for j in range(count):
            exact[i, j] = max(1.0 - abs((j + first[i] - centre + 0.5) * shrink), 0.0)
            total += exact[i, j]
        for j in range(count):
            exact[i, j] /= total
            largest = max(largest, exact[i, j])
        exact[i, count:] = 0.0
        most = max(most, count)
    bits = 0
    while bits < _MOST_BITS and int(0.5 + largest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    for i in range(new):
        for j in range(most):
            weights[i, j] = int(0.5 + exact[i, j] * (1 << bits))
        if most == 2:
            weights[i, 2] = weights[i, 0] | (weights[i, 1] << 16)
    return most, bits


@jit
def _along_rows(
    pixels: Bytes,
    start: int,
    pitch: int,
    width: int,
    count: int,
    first: Integers,
    weights: Weights,
    taps: int,
    bits: int,
    edge: Bytes,
    rows: Bytes,
    size: int,
) -> None:
    """`count` rows of one box, resized and cut, one after another into `rows`. Uses `edge` meanwhile."""
    for row in range(count):
        at = start + row * pitch
        if at + 3 * (width + taps) < len(pixels):
            _along_row(pixels, at, first, weights, taps, bits, rows, row * 3 * size, size)
        else:  # more bytes are read than pixels have, and pixels of weight 0 beyond the row
            edge[: 3 * width] = pixels[at : at + 3 * width]
            _along_row(edge, 0, first, weights, taps, bits, rows, row * 3 * size, size)


@jit
def _along_row(
    pixels: Bytes, at: int, first: Integers, weights: Weights, taps: int, bits: int, rows: Bytes, to: int, size: int
) -> None:
    """One row of them, into rows[to : to + 3 * size]; two bytes after it are overwritten, too.

    From left to right, so that what a pixel overwrites is written again by the next one.
    """
    done = 0
    if taps == 2:
        done = size - size % 2
        for x in range(0, done, 2):
            one, other = at + 3 * first[x], at + 3 * first[x + 1]
            blended_pixels(pixels, one, other, weights[x, 2], weights[x + 1, 2], bits, rows, to + 3 * x)
    for x in range(done, size):
        weighted_pixel(pixels, at + 3 * first[x], weights, x, taps, bits, rows, to + 3 * x)


@jit
def _down_columns(
    rows: Bytes,
    first: Integers,
    begin: int,
    count: int,
    weights: Weights,
    taps: int,
    bits: int,
    sums: Weights,
    made: Bytes,
) -> None:
    """All rows of the result, of `count` rows from `begin` on that were resized along. Uses `sums` meanwhile."""
    pitch, half, shift = made.shape[1], np.int32(1 << (bits - 1)), np.int32(bits)  # of 32 bits, as all that they meet
    for y in range(len(made)):
        to = made[y]
        if taps == 2:
            at, after = (first[y] - begin) * pitch, min(first[y] - begin + 1, count - 1) * pitch
            one, other, this, that = rows[at : at + pitch], rows[after : after + pitch], weights[y, 0], weights[y, 1]
            for x in range(pitch):
                to[x] = (half + np.int32(one[x]) * this + np.int32(other[x]) * that) >> shift
        else:
            sums[:] = half
            for tap in range(taps):
                at, this = min(first[y] - begin + tap, count - 1) * pitch, weights[y, tap]
                one = rows[at : at + pitch]
                for x in range(pitch):
                    sums[x] += np.int32(one[x]) * this
            for x in range(pitch):
                to[x] = sums[x] >> shift
