"""Scales pixels to the network's range of numbers on a CPU, in one pass over memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.kernels import plain
from headrace.train.input.kernels.jit import jit_or


@jit_or(plain.scale_rows)
def scale_rows(pixels: NDArray[np.uint8], scale: NDArray[Any], shift: NDArray[Any], made: NDArray[Any]) -> None:
    """Write pixels * scale + shift to `made`.

    `pixels` and `made` are (n, m); `scale` and `shift` are (m,) in the dtype of `made`.
    """
    for row in range(len(pixels)):
        before, after = pixels[row], made[row]
        for x in range(len(before)):
            after[x] = before[x] * scale[x] + shift[x]
