"""Resizes 8-bit images on a CPU with antialiased bilinear or bicubic filters.

The results have the same bits as torch's, but are computed several times as fast. `train/input/kernels/filters.py`
makes the filters. First the rows are resized along x and rounded to bytes, then the columns are resized.
"""

import numpy as np

from headrace.train.input.kernels import plain
from headrace.train.input.kernels.arguments import UNSOUND, WORD, Boxes, Bytes, Integers, Stored
from headrace.train.input.kernels.filters import Chosen, Space, Weights, choose_filters, space_for
from headrace.train.input.kernels.jit import MISSING, jit, jit_or
from headrace.train.input.kernels.strips import read_checked

if not MISSING:
    from headrace.train.input.kernels.simd import blended_bytes, blended_pixels, clamped_pixel, weighted_pixel


@jit_or(plain.resize_boxes)
def resize_boxes(pixels: Bytes, starts: Integers, pitches: Integers, boxes: Boxes, made: Bytes) -> None:
    """Resize boxes of images in `pixels` (bytes,) to squares in `made`, (n, size, 3 * size) of red, green, blue.

    Image i begins at byte starts[i]. Each of its rows begins pitches[i] bytes after the previous row.
    """
    space = space_for(boxes, made.shape[1])
    for i in range(len(starts)):
        chosen = choose_filters(boxes, i, space)
        resize_box(pixels, starts[i] + boxes.corners[i, 0] * pitches[i], pitches[i], boxes, i, chosen, space, made[i])


@jit_or(plain.resize_strips)
def resize_strips(stored: Stored, once: bool, ids: Integers, boxes: Boxes, made: Bytes) -> int:
    """Resize boxes of images in the file `stored` to squares in `made`, one image at a time.

    Returns the index of the first damaged image, or -1 if all are sound.
    """
    space, longest = space_for(boxes, made.shape[1]), 0
    for image in ids:
        longest = max(longest, 3 * stored.widths[image] * stored.heights[image])
    held = np.empty(longest + WORD, np.uint8)
    for i in range(len(ids)):
        image, pitch, chosen = ids[i], 3 * stored.widths[ids[i]], choose_filters(boxes, i, space)
        first = boxes.corners[i, 0]
        top = read_checked(stored, once, image, first + chosen.begin, first + chosen.end, held)
        if top == UNSOUND:
            return i
        resize_box(held, (first - top) * pitch, pitch, boxes, i, chosen, space, made[i])
    return -1


@jit
def resize_box(
    pixels: Bytes, start: int, pitch: int, boxes: Boxes, i: int, chosen: Chosen, space: Space, made: Bytes
) -> None:
    """Resize box i to `made`, (size, 3 * size), with the filters in `chosen`.

    `start` is the index in `pixels` of the image row that contains the box's first row. Only rows that the filters use
    are read.
    """
    size, top, count = len(made), boxes.cut[i, 0], chosen.end - chosen.begin
    at = start + chosen.begin * pitch + 3 * boxes.corners[i, 1]
    _along_rows(
        pixels, at, pitch, boxes.sides[i, 1], count, space.first, space.across, chosen.taps, chosen.bits, boxes.cubic,
        space.edge, space.rows, size,
    )  # fmt: skip
    kept, taps = slice(top, top + size), space.known[chosen.row, 2]
    first, weights = space.firsts[chosen.row, kept], space.weights[chosen.row, kept]
    bits = space.known[chosen.row, 3]
    _down_columns(space.rows, first, chosen.begin, count, weights, taps, bits, boxes.cubic, space.sums, made)


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
    cubic: bool,
    edge: Bytes,
    rows: Bytes,
    size: int,
) -> None:
    """Resize `count` rows of one box along x, and write the pixels that the final square needs to `rows`.

    `edge` is working memory.
    """
    for row in range(count):
        at = start + row * pitch
        if at + 3 * (width + taps) < len(pixels):
            _along_row(pixels, at, first, weights, taps, bits, cubic, rows, row * 3 * size, size)
        else:  # `_along_row` reads beyond the row, so a row near the end of `pixels` is copied
            edge[: 3 * width] = pixels[at : at + 3 * width]
            _along_row(edge, 0, first, weights, taps, bits, cubic, rows, row * 3 * size, size)


@jit
def _along_row(
    pixels: Bytes,
    at: int,
    first: Integers,
    weights: Weights,
    taps: int,
    bits: int,
    cubic: bool,
    rows: Bytes,
    to: int,
    size: int,
) -> None:
    """Resize one row into rows[to : to + 3 * size]. The two bytes after this range are overwritten too.

    Pixels are written from left to right. Each write also changes the following pixel, which is overwritten next.
    """
    done = 0
    if taps == 2:
        done = size - size % 2
        for x in range(0, done, 2):
            one, other = at + 3 * first[x], at + 3 * first[x + 1]
            blended_pixels(pixels, one, other, weights[x, 2], weights[x + 1, 2], bits, rows, to + 3 * x)
    if cubic:
        for x in range(size):
            clamped_pixel(pixels, at + 3 * first[x], weights, x, taps, bits, rows, to + 3 * x)
        return
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
    cubic: bool,
    sums: Weights,
    made: Bytes,
) -> None:
    """Compute all rows of `made` from `rows`.

    `rows` are `count` rows of the box, beginning with row `begin`, already resized along x. `sums` is working memory.
    """
    pitch, half, shift = made.shape[1], np.int32(1 << (bits - 1)), np.int32(bits)  # 32 bits, like all their operands
    for y in range(len(made)):
        to = made[y]
        if taps == 2:
            at, after = (first[y] - begin) * pitch, min(first[y] - begin + 1, count - 1) * pitch
            one, other, this, that = rows[at : at + pitch], rows[after : after + pitch], weights[y, 0], weights[y, 1]
            done = pitch - pitch % 16
            for x in range(0, done, 16):
                blended_bytes(rows, at + x, after + x, weights[y, 2], shift, to, x)
            for x in range(done, pitch):
                to[x] = (half + np.int32(one[x]) * this + np.int32(other[x]) * that) >> shift
        else:
            sums[:] = half
            for tap in range(taps):
                at, this = min(first[y] - begin + tap, count - 1) * pitch, weights[y, tap]
                one = rows[at : at + pitch]
                for x in range(pitch):
                    sums[x] += np.int32(one[x]) * this
            if cubic:
                for x in range(pitch):
                    to[x] = min(max(sums[x] >> shift, np.int32(0)), np.int32(255))
            else:
                for x in range(pitch):
                    to[x] = sums[x] >> shift
