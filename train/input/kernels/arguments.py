"""The arguments of the loops over pixels, compiled or not."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Sums = NDArray[np.uint64]

STRIP_ROWS = 16
WORD = 8  # bytes: a pair of 32-bit words, of which a strip's checksum takes one after another
UNSOUND = -1  # in the place of a row: the bytes are not there, or not those that were written


class Boxes(NamedTuple):
    """What n images become: a box of each becomes a square. int64 (n, 2) each, except for the last two.

    Box i has its first pixel at corners[i] = (row, column), and sides[i] = (height, width). It is resized to resized[i]
    = (height, width). Of the result the square whose first pixel is cut[i] = (row, column) is kept, and mirrored if
    mirrored[i], (n,). Pixels outside the box are not used. `cubic` selects bicubic filters for all instead of bilinear
    ones.
    """

    corners: Integers
    sides: Integers
    resized: Integers
    cut: Integers
    mirrored: NDArray[np.bool_]
    cubic: bool = False


class Stored(NamedTuple):
    """Images in a file, and what is known about them. There are no gaps within an image."""

    descriptor: int
    starts: Integers  # (n,), bytes of the file
    widths: Integers  # (n,)
    heights: Integers  # (n,)
    strips: Integers  # (n,), the first strip of each image
    sums: Sums  # (strips,)
    low: Sums  # keys, added to the lower word of each pair
    high: Sums  # and to the upper
    sound: NDArray[np.bool_]  # (strips,), strips that need no further check
