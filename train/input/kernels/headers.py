"""Finds the JPEGs of a batch whose headers every decoder understands in the same way, in one compiled loop."""

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.kernels import plain
from headrace.train.input.kernels.arguments import Bytes
from headrace.train.input.kernels.jit import jit, jit_or

_FRAMES, _OTHERS = (0xC0, 0xC1, 0xC2), (0xC3, 0xCF)  # markers of Huffman-coded frames; range of other frames' markers
_TABLES = (0xC4, 0xC8, 0xCC)  # markers in this range that are not frames
_SCAN, _APP1 = 0xDA, 0xE1


@jit_or(plain.find_simple)
def find_simple(
    rows: Bytes, sizes: NDArray[np.int32], heights: NDArray[np.int32], widths: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return a mask (n,) of the files that are simple JPEGs of the given heights and widths.

    File i consists of the first sizes[i] bytes of rows[i]. `plain.is_simple` defines what a simple JPEG is.
    """
    simple = np.zeros(len(rows), np.bool_)
    for i in range(len(rows)):
        simple[i] = _is_simple(rows[i, : sizes[i]], heights[i], widths[i])
    return simple


@jit
def _is_simple(jpeg: Bytes, height: int, width: int) -> bool:
    at, framed, plain_so_far = 2, False, len(jpeg) >= 2 and jpeg[0] == 0xFF and jpeg[1] == 0xD8
    while plain_so_far and at + 4 <= len(jpeg):
        marker, length = jpeg[at + 1], _number(jpeg, at + 2)
        plain_so_far = jpeg[at] == 0xFF and 0xC0 <= marker < 0xFF and not 0xD0 <= marker <= 0xD9 and length >= 2
        if marker == _SCAN:
            return plain_so_far and framed
        if marker in _FRAMES:
            plain_so_far = plain_so_far and not framed and _is_as_told(jpeg, at, height, width)
            framed = True
        elif (_OTHERS[0] <= marker <= _OTHERS[1] and marker not in _TABLES) or (marker == _APP1 and _is_exif(jpeg, at)):
            return False
        at += 2 + length
    return False


@jit
def _number(jpeg: Bytes, at: int) -> int:
    return (int(jpeg[at]) << 8) | int(jpeg[at + 1])


@jit
def _is_as_told(jpeg: Bytes, at: int, height: int, width: int) -> bool:
    """Return whether the frame header at byte `at` has this height and width, and one or three colours."""
    if at + 10 > len(jpeg):
        return False
    grey_or_colours: bool = jpeg[at + 9] in (1, 3)
    return _number(jpeg, at + 5) == height and _number(jpeg, at + 7) == width and grey_or_colours


@jit
def _is_exif(jpeg: Bytes, at: int) -> bool:
    """Return whether the segment at byte `at` has EXIF data."""
    if at + 8 > len(jpeg):
        return False
    return _number(jpeg, at + 4) == 0x4578 and _number(jpeg, at + 6) == 0x6966
