"""Defines a change of resized images: an operator, the images that it changes, and the operator's values per image.

This module uses only NumPy. All random numbers of a group are drawn on the CPU before the group's images are decoded,
so no draw waits for a GPU.
"""

from enum import Enum, auto
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Op(Enum):
    """A kind of change of uint8 images, such as a change of contrast or a warp.

    The comment beside each operator lists the operator's columns of `Change.values`. `operators.py` implements these
    operators.
    """

    BRIGHTNESS = auto()  # factor
    CONTRAST = auto()  # factor
    SATURATION = auto()  # factor
    SHARPNESS = auto()  # factor
    HUE = auto()  # steps of 1 / 256 turn to add, 0 to 255
    POSTERIZE = auto()  # bits to keep, 1 to 8
    SOLARIZE = auto()  # threshold; pixel values from it on are inverted
    AUTOCONTRAST = auto()  # none
    EQUALIZE = auto()  # none
    WARP = auto()  # a, b, c, d, e, f of warp.inverse_matrix
    ERASE = auto()  # top, left, bottom, right in pixels; red, green, blue


class Change(NamedTuple):
    """One operator, and the images of a group that the operator changes."""

    op: Op
    rows: NDArray[np.int64]  # (n,) rows of the group, each at most once
    values: NDArray[np.float64]  # (n, k) the values for each row, as the comment in `Op` describes them
