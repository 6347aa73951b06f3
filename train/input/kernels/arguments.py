"""What loops over pixels are given, whoever runs them."""

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
    """What becomes of n images, int64 (n, 2) each but for the last: a box of an image is resized and cut to a square.

    Box i has its first pixel at corners[i] = (row, column), and sides[i] = (height, width). It is resized to resized[i]
    = (height, width); of that the square whose first pixel is cut[i] = (row, column) is kept, and turned from left to
    right where mirrored[i], (n,). Nothing outside the box is seen.
    """

    corners: Integers
    sides: Integers
    resized: Integers
    cut: Integers
    mirrored: NDArray[np.bool_]


class Stored(NamedTuple):
    """Images in a file, and what is known of them. Within an image there are no gaps."""

    descriptor: int
    starts: Integers  # (n,), bytes of the file
    widths: Integers  # (n,)
    heights: Integers  # (n,)
    strips: Integers  # (n,), the first of each image
    sums: Sums  # (strips,)
    low: Sums  # keys, added to the lower word of each pair
    high: Sums  # and to the upper
    sound: NDArray[np.bool_]  # (strips,), those that need no check any more
