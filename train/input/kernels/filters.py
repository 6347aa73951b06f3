"""The filters of an antialiased bilinear resize: which pixels each new one sees, and what each counts.

The arithmetic is that of torch's kernel for uint8 (aten/src/ATen/native/cpu/UpSampleKernelAVXAntialias.h), which
torchvision's transforms of tensors call and which follows Pillow's: weights are rounded to 16-bit fixed point, with as
many fractional bits as the largest weight of an axis leaves.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.kernels.arguments import Boxes, Bytes, Integers
from headrace.train.input.kernels.jit import jit

Weights = NDArray[np.int32]
_MOST_BITS = 22
MOST_FILTERS, _MOST_WEIGHTS = 64, 1 << 20  # that are kept


class Space(NamedTuple):
    """What resizing needs besides pixels, made once for many boxes; it holds the filters that were made last."""

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
    """The filters of a box: how many pixels they see, bits of their weights, and the rows of the box that are seen."""

    taps: int
    bits: int
    row: int
    begin: int
    end: int


@jit
def space_for(boxes: Boxes, size: int) -> Space:
    """The space in which these boxes become squares of this side."""
    high, wide, longest, reach = _largest(boxes.sides, boxes.resized)
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
    """The filters of box i, to be used before those of another are chosen: they may take the same place."""
    (height, width), (top, left), size = boxes.sides[i], boxes.cut[i], len(space.first)
    known, firsts, weights = space.known, space.firsts, space.weights
    column = _filter(width, boxes.resized[i, 1], known, firsts, weights, space.exact)
    taps, bits, kept = known[column, 2], known[column, 3], slice(left, left + size)
    _copy(firsts[column, kept], weights[column, kept], boxes.mirrored[i], space.first, space.across)
    row = _filter(height, boxes.resized[i, 0], known, firsts, weights, space.exact)
    end = min(firsts[row, top + size - 1] + known[row, 2], height)
    return Chosen(taps, bits, row, firsts[row, top], end)


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
