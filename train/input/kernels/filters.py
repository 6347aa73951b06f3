"""Makes the filters of antialiased bilinear and bicubic resizing: each new pixel's old pixels, and their weights.

The arithmetic is the same as in torch's kernel for uint8 (aten/src/ATen/native/cpu/UpSampleKernelAVXAntialias.h). That
kernel follows Pillow, and torchvision's transforms of tensors use it. Weights are rounded to 16-bit fixed point, with
as many fractional bits as the largest weight of an axis allows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.kernels.arguments import Boxes, Bytes, Integers
from headrace.train.input.kernels.jit import jit

Weights = NDArray[np.int32]
_MOST_BITS = 22
_SHARPNESS = -0.5  # parameter of the cubic, as in torch's antialiased resize, in Pillow and in DALI
MOST_FILTERS, _MOST_WEIGHTS = 64, 1 << 20  # largest numbers that are kept


class Space(NamedTuple):
    """Working memory for resizing, allocated once for many boxes. Also holds the latest filters, for reuse."""

    rows: Bytes
    sums: Weights
    edge: Bytes
    known: Integers
    exact: NDArray[np.float64]
    firsts: Integers
    weights: Weights
    first: Integers
    across: Weights


class Chosen(NamedTuple):
    """The filters that resize a box, and the rows of the box that they use."""

    taps: int  # old pixels of a new pixel, along rows
    bits: int  # fractional bits of the weights along rows
    row: int  # index of the filter along columns
    begin: int  # first row of the box in use
    end: int  # row after the last one in use


@jit
def space_for(boxes: Boxes, size: int) -> Space:
    """Return the working memory for resizing these boxes to squares of side `size`."""
    high, wide, longest, reach = _largest(boxes.sides, boxes.resized, boxes.cubic)
    kept = max(1, min(MOST_FILTERS, _MOST_WEIGHTS // (longest * reach)))
    return Space(
        np.empty(high * 3 * size + 2, np.uint8),
        np.empty(3 * size, np.int32),
        np.zeros(3 * (wide + reach) + 1, np.uint8),
        np.zeros((kept, 4), np.int64),
        np.empty((longest, reach), np.float64),
        np.empty((kept, longest), np.int64),
        np.empty((kept, longest, reach), np.int32),
        np.empty(size, np.int64),
        np.empty((size, reach), np.int32),
    )


@jit
def choose_filters(boxes: Boxes, i: int, space: Space) -> Chosen:
    """Return the filters of box i. The filters are valid until those of another box are chosen."""
    (height, width), (top, left), size = boxes.sides[i], boxes.cut[i], len(space.first)
    known, firsts, weights = space.known, space.firsts, space.weights
    column = _filter(width, boxes.resized[i, 1], boxes.cubic, known, firsts, weights, space.exact)
    taps, bits, kept = known[column, 2], known[column, 3], slice(left, left + size)
    _copy(firsts[column, kept], weights[column, kept], boxes.mirrored[i], space.first, space.across)
    row = _filter(height, boxes.resized[i, 0], boxes.cubic, known, firsts, weights, space.exact)
    end = min(firsts[row, top + size - 1] + known[row, 2], height)
    return Chosen(taps, bits, row, firsts[row, top], end)


@jit
def _largest(sides: Integers, resized: Integers, cubic: bool) -> tuple[int, int, int, int]:
    """Return maxima over all boxes: height, width, side after the resize, and number of old pixels for one new pixel.

    Each maximum is at least 1.
    """
    high, wide, longest, reach = 1, 1, 1, 1
    for i in range(len(sides)):
        high, wide = max(high, sides[i, 0]), max(wide, sides[i, 1])
        longest = max(longest, resized[i, 0], resized[i, 1])
        reach = max(reach, _reach(sides[i, 0], resized[i, 0], cubic), _reach(sides[i, 1], resized[i, 1], cubic))
    return high, wide, longest, reach


@jit
def _reach(old: int, new: int, cubic: bool) -> int:
    """Return an upper limit on the number of old pixels that a new pixel uses along an axis."""
    return 2 * int(np.ceil((2.0 if cubic else 1.0) * max(old / new, 1.0))) + 1


@jit
def _filter(
    old: int,
    new: int,
    cubic: bool,
    known: Integers,
    firsts: Integers,
    weights: Weights,
    exact: NDArray[np.float64],
) -> int:
    """Return the index of the filter that resizes an axis from `old` to `new` pixels; make the filter if it is missing.

    For the filter at an index `place`, known[place] is (old, new, taps, bits): taps is the number of old pixels for one
    new pixel, and bits is the number of fractional bits of the weights. firsts[place] and weights[place] are the arrays
    `first` and `weights` that `_weigh` fills. Filters are kept for reuse, because making a filter takes as long as
    resizing a small image. Random crops of images of one size need only a few different filters.
    """
    place = old % len(known)
    if known[place, 0] != old or known[place, 1] != new:
        taps, bits = _weigh(old, new, cubic, firsts[place], weights[place], exact)
        known[place, 0], known[place, 1], known[place, 2], known[place, 3] = old, new, taps, bits
    return place


@jit
def _copy(first: Integers, weights: Weights, mirrored: bool, to_first: Integers, to_weights: Weights) -> None:
    """Copy a filter's `first` and `weights` for some new pixels, in reverse order if the result is to be mirrored."""
    count = len(first)
    for i in range(count):
        j = count - 1 - i if mirrored else i
        to_first[j] = first[i]
        for tap in range(weights.shape[1]):
            to_weights[j, tap] = weights[i, tap]


@jit
def _weigh(
    old: int, new: int, cubic: bool, first: Integers, weights: Weights, exact: NDArray[np.float64]
) -> tuple[int, int]:
    """Compute the filter along an axis: for each new pixel, the first old pixel that it uses, and the weights.

    Fills `first` (new,) and `weights` (new, reach). New pixels that use fewer old pixels than others get zeros as their
    remaining weights. `exact` is working memory. Returns the largest number of old pixels that a new pixel uses, and
    the number of fractional bits of the weights. The first number is at least two for bilinear filters, and at least
    three for bicubic ones. If this number is two, both weights of each new pixel are also packed into one number, in a
    third column of `weights`.
    """
    scale = old / new
    shrink = 1.0 / max(scale, 1.0)
    support = (2.0 if cubic else 1.0) * max(scale, 1.0)
    most, largest = 3 if cubic else 2, 0.0
    for i in range(new):
        centre = scale * (i + 0.5)
        first[i] = max(int(centre - support + 0.5), 0)
        count = min(int(centre + support + 0.5), old) - first[i]
        total = 0.0
        for j in range(count):
            distance = abs((j + first[i] - centre + 0.5) * shrink)
            exact[i, j] = _cubic(distance) if cubic else max(1.0 - distance, 0.0)
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
            weights[i, j] = int((0.5 if exact[i, j] >= 0.0 else -0.5) + exact[i, j] * (1 << bits))
        if most == 2:
            weights[i, 2] = weights[i, 0] | (weights[i, 1] << 16)
    return most, bits


@jit
def _cubic(x: float) -> float:
    """Return the weight of a pixel at distance x in the cubic convolution of R. Keys (IEEE TASSP 29, 1981)."""
    a = _SHARPNESS
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    if x < 2.0:
        return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    return 0.0
