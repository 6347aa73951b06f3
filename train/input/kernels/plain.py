"""Replaces the compiled loops if numba is missing: the same bits from torch, NumPy and zlib, one image at a time.

Each function has the same name, arguments and result as the compiled loop that it replaces. The docstrings of the
compiled loops describe arguments and results.
"""

import os
import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from headrace.shards.jpeg import START, read_headers
from headrace.train.input.kernels.arguments import STRIP_ROWS, UNSOUND, WORD, Boxes, Bytes, Integers, Stored, Sums

_END_OF_IMAGE = b"\xff\xd9"
_FRAMES = (0xFFC0, 0xFFC1, 0xFFC2)  # frames with Huffman codes in 8 or 12 bits: baseline, extended, progressive
_LOW, _HIGH = np.uint64(0xFFFFFFFF), np.uint64(32)  # mask of the lower word of a pair, and shift to the upper word


def resize_boxes(pixels: Bytes, starts: Integers, pitches: Integers, boxes: Boxes, made: Bytes) -> None:
    """Resize boxes of images in memory to squares."""
    for i in range(len(starts)):
        (top, left), (height, width) = boxes.corners[i], boxes.sides[i]
        first = starts[i] + top * pitches[i]
        rows = pixels[first : first + height * pitches[i]].reshape(height, -1, 3)
        made[i] = _resized(rows[:, left : left + width], boxes, i, made.shape[1])


def scale_rows(pixels: Bytes, scale: NDArray[Any], shift: NDArray[Any], made: NDArray[Any]) -> None:
    """Multiply pixels by scale, round, and then add shift."""
    np.multiply(pixels, scale, out=made)
    made += shift


def read_rows(
    descriptors: Integers, offsets: Integers, sizes: NDArray[np.int32], crcs: NDArray[np.uint32], rows: Bytes
) -> bool:
    """Read files into the rows of an array. Return whether all files have the expected checksums and end markers."""
    for row, descriptor, offset, size, crc in zip(rows, descriptors, offsets, sizes, crcs, strict=True):
        file = row[:size]
        if not _read(int(descriptor), file, int(offset)):
            return False
        if not file.tobytes().endswith(_END_OF_IMAGE) or zlib.crc32(file) != crc:
            return False
        row[size:] = 0
    return True


def find_simple(
    rows: Bytes, sizes: NDArray[np.int32], heights: NDArray[np.int32], widths: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return a mask (n,) of the files that are simple JPEGs of the given heights and widths."""
    files = (row[:size].tobytes() for row, size in zip(rows, sizes, strict=True))
    return np.array([is_simple(*each) for each in zip(files, heights, widths, strict=True)], np.bool_)


def is_simple(file: bytes, height: int, width: int) -> bool:
    """Return whether a file is a simple JPEG: of this height and width, and with plain headers (`shards/jpeg.py`).

    A simple JPEG has one or three colours, no EXIF data, and a type of frame that all decoders read alike.
    """
    if file[: len(START)] != START:
        return False
    headers = read_headers(file)
    plain = not headers.fault and not headers.exifs and headers.frame in _FRAMES and headers.components in (1, 3)
    return plain and (headers.height, headers.width) == (height, width)


def sum_strips(words: Sums, each: int, low: Sums, high: Sums, sums: Sums) -> None:
    """Compute the checksum of each strip (block of 16 rows of an image)."""
    for strip in range(len(sums)):
        sums[strip] = _sum_of(words[strip * each : (strip + 1) * each], low, high)


def resize_strips(stored: Stored, once: bool, ids: Integers, boxes: Boxes, made: Bytes) -> int:
    """Resize boxes of images in a file to squares.

    Only strips (blocks of 16 rows) with pixels that the squares need are read.
    """
    for i, image in enumerate(ids.tolist()):
        (corner, left), (height, width) = boxes.corners[i].tolist(), boxes.sides[i].tolist()
        begin, end = _rows_seen(boxes, i, made.shape[1])
        held = np.empty((_padded_rows(stored, image, end - begin),), np.uint8)
        top = _read_rows(stored, once, image, corner + begin, corner + end, held)
        if top == UNSOUND:
            return i
        pitch, box = 3 * int(stored.widths[image]), np.zeros((height, width, 3), np.uint8)
        rows = held[(corner + begin - top) * pitch : (corner + end - top) * pitch].reshape(end - begin, -1, 3)
        box[begin:end] = rows[:, left : left + width]
        made[i] = _resized(box, boxes, i, made.shape[1])
    return -1


def read_strips(
    stored: Stored, once: bool, ids: Integers, first: Integers, last: Integers, starts: Integers, held: Bytes
) -> int:
    """Read strips (blocks of 16 rows) of images from a file, without resizing the images."""
    for i, image in enumerate(ids.tolist()):
        if _read_rows(stored, once, image, int(first[i]), int(last[i]), held[starts[i] :]) == UNSOUND:
            return i
    return -1


def _resized(box: Bytes, boxes: Boxes, i: int, size: int) -> Bytes:
    """Resize box i, (height, width, 3), and return the rows of its square, (size, 3 * size).

    Uses torch's resize, whose results the loops that numba compiles reproduce exactly.
    """
    channels_first = torch.from_numpy(np.ascontiguousarray(box)).permute(2, 0, 1)[None]
    mode = "bicubic" if boxes.cubic else "bilinear"
    whole = interpolate(channels_first, boxes.resized[i].tolist(), mode=mode, antialias=True)
    top, left = boxes.cut[i]
    square = whole[0].permute(1, 2, 0).numpy()[top : top + size, left : left + size]
    return (square[:, ::-1] if boxes.mirrored[i] else square).reshape(size, 3 * size)


def _rows_seen(boxes: Boxes, i: int, size: int) -> tuple[int, int]:
    """Return the rows of box i that the compiled loops read for its square: the first row and the end (excluded).

    Each new row is a weighted sum of old rows. For every new row, the loops read the same number of old rows: as many
    as the new row with the most old rows needs.
    """
    old, new, top = int(boxes.sides[i, 0]), int(boxes.resized[i, 0]), int(boxes.cut[i, 0])
    centres, reach = old / new * (np.arange(new) + 0.5), (2.0 if boxes.cubic else 1.0) * max(old / new, 1.0)
    firsts = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    counts = np.minimum((centres + reach + 0.5).astype(np.int64), old) - firsts
    return int(firsts[top]), min(int(firsts[top + size - 1] + max(3 if boxes.cubic else 2, counts.max())), old)


def _padded_rows(stored: Stored, image: int, count: int) -> int:
    """Return an upper limit on the bytes that are read for `count` rows of an image: whole strips, padded to words."""
    return 3 * int(stored.widths[image]) * (count + 2 * STRIP_ROWS) + WORD


def _read_rows(stored: Stored, once: bool, image: int, first: int, last: int, held: Bytes) -> int:
    """Read the stored strips (blocks of rows with a checksum each) that contain rows `first` to `last` of an image.

    Return the number of the first row that was read, or UNSOUND if a strip is missing or fails its checksum.
    """
    pitch, strip, end = 3 * int(stored.widths[image]), first // STRIP_ROWS, -(-last // STRIP_ROWS)
    top = strip * STRIP_ROWS
    size, each = (min(end * STRIP_ROWS, int(stored.heights[image])) - top) * pitch, STRIP_ROWS * pitch // WORD
    if not _read(stored.descriptor, held[:size], int(stored.starts[image]) + top * pitch):
        return UNSOUND
    padded = -(-size // WORD) * WORD
    held[size:padded] = 0
    words = held[:padded].view(np.uint64)
    for place in range(end - strip):
        number = int(stored.strips[image]) + strip + place
        if not stored.sound[number]:
            if _sum_of(words[place * each : (place + 1) * each], stored.low, stored.high) != stored.sums[number]:
                return UNSOUND
            stored.sound[number] = once
    return top


def _sum_of(words: Sums, low: Sums, high: Sums) -> np.uint64:
    """Return the checksum NH (see `train/input/decode/strips.py`) of a strip, given as pairs of 32-bit words."""
    lower, upper = (words + low[: len(words)]) & _LOW, ((words >> _HIGH) + high[: len(words)]) & _LOW
    return np.uint64(np.sum(lower * upper, dtype=np.uint64))


def _read(descriptor: int, held: Bytes, offset: int) -> bool:
    """Fill `held` from an offset in a file. Return False if reading fails or the file ends too early."""
    try:
        return os.preadv(descriptor, [held.data], offset) == len(held)
    except OSError:
        return False
