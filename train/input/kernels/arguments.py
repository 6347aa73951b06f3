"""Defines the types of the arguments of the loops over pixels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Sums = NDArray[np.uint64]

STRIP_ROWS = 16
WORD = 8  # bytes of a pair of 32-bit words; a strip's checksum takes one pair after another
UNSOUND = -1  # returned instead of a row if the bytes are missing or have changed since they were written


class Boxes(NamedTuple):
    """Boxes of n images, to be resized to squares. All fields except the last two are int64 (n, 2).

    Box i begins at the pixel corners[i] = (row, column) and has the size sides[i] = (height, width). The box is resized
    to resized[i] = (height, width). From the result, only the square that begins at the pixel cut[i] = (row, column) is
    kept. The square is mirrored if mirrored[i], (n,), is True. Pixels outside the box are not used. `cubic` selects
    bicubic instead of bilinear filters for all images.
    """

    corners: Integers
    sides: Integers
    resized: Integers
    cut: Integers
    mirrored: NDArray[np.bool_]
    cubic: bool = False


class Stored(NamedTuple):
    """Decoded images in a file, with a checksum for each strip (block of 16 rows) of an image.

    Within an image, the rows follow one another without gaps.
    """

    descriptor: int
    starts: Integers  # (n,), offset of each image in the file, bytes
    widths: Integers  # (n,)
    heights: Integers  # (n,)
    strips: Integers  # (n,), the first strip of each image
    sums: Sums  # (strips,), checksums
    low: Sums  # keys that are added to the lower word of each pair
    high: Sums  # keys that are added to the upper word of each pair
    sound: NDArray[np.bool_]  # (strips,), whether a strip needs no further check
