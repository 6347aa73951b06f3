"""Shrinks an image; the result has the same bytes on every machine.

Each new pixel is a weighted mean of old pixels. The weights are whole numbers, so every product and every sum is a
whole number below 2**53. Floating-point matrix products of such numbers are exact, in whatever order a machine adds the
products.
"""

import numpy as np
from numpy.typing import NDArray

_UNIT = 1 << 14  # weights of one output pixel sum to this


def fitting(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Width and height in pixels after the longer side is shrunk to `max_side`; each is at least 1."""
    longer = max(width, height)
    return max(1, (2 * width * max_side + longer) // (2 * longer)), max(
        1, (2 * height * max_side + longer) // (2 * longer)
    )


def shrink(pixels: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """Shrink an image, uint8 (height, width, 3), with a triangle filter over the pixels that each new pixel covers."""
    height, width, _ = pixels.shape
    new_width, new_height = fitting(width, height, max_side)
    down = _applied(_weights(height, new_height), pixels.reshape(height, -1))
    across = down.reshape(new_height, width, 3).transpose(1, 0, 2).reshape(width, -1)
    done = _applied(_weights(width, new_width), across)
    return np.ascontiguousarray(done.reshape(new_width, new_height, 3).transpose(1, 0, 2))


def _applied(weights: NDArray[np.float64], columns: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the weighted means of each column, rounded to whole numbers from 0 to 255."""
    sums = weights @ columns.astype(np.float64)
    return np.clip(np.floor(sums / _UNIT + 0.5), 0, 255).astype(np.uint8)


def _weights(old: int, new: int) -> NDArray[np.float64]:
    """The weight of each old pixel in each new pixel, shape (new, old): whole numbers; each row sums to _UNIT."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    weights = np.maximum(0.0, 1 - np.abs(np.arange(old) - centres[:, None]) / max(scale, 1.0))
    whole: NDArray[np.float64] = np.floor(weights / weights.sum(1, keepdims=True) * _UNIT + 0.5)
    whole[np.arange(new), whole.argmax(1)] += _UNIT - whole.sum(1)
    return whole
