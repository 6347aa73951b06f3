"""What is done to resized images: an operator, whom it is done to, and its numbers.

Numpy only. The draws decide all of it before any pixel is there, so the device is told what to do and never asked.
"""

from enum import Enum, auto
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Op(Enum):
    """An operator on uint8 images, with the columns of its values. `operators.py` carries them out."""

    BRIGHTNESS = auto()  # factor
    CONTRAST = auto()  # factor
    SATURATION = auto()  # factor
    SHARPNESS = auto()  # factor
    HUE = auto()  # steps of 1 / 256 turn to add, 0 to 255
    POSTERIZE = auto()  # bits to keep, 1 to 8
    SOLARIZE = auto()  # values from here on are inverted
    AUTOCONTRAST = auto()  # none
    EQUALIZE = auto()  # none
    WARP = auto()  # a, b, c, d, e, f of warp.inverse_matrix
    ERASE = auto()  # top, left, bottom, right in pixels; red, green, blue


class Change(NamedTuple):
    """One operator on some images of a group."""

    op: Op
    rows: NDArray[np.int64]  # (n,) which of the group, each at most once
    values: NDArray[np.float64]  # (n, k) the numbers of each, as `op` has them
