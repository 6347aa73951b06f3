"""Views of decoded images, cut and resized on the CPU by several threads, to torchvision's pixels."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.augment import Views, resized_then_cut
from train.bilinear import resize_boxes
from train.images import Images, Parts

_THREAD_BYTES = 1 << 20  # result that is worth another thread: below, decoding has more use for the core


class Resampler:
    """Resizes the views of a batch with at most so many threads, that of the caller among them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="headrace-resize")

    def __call__(self, parts: Parts, views: Views, size: int) -> Tensor:
        """uint8 (n, size, size, 3) of the n images in `parts`, which are not kept."""
        made = np.empty((len(views.start), size, 3 * size), np.uint8)
        for rows, images in parts:
            self._share(_boxes(images, views.only(rows), size), made[rows])
        return torch.from_numpy(made).view(-1, size, size, 3)

    def _share(self, boxes: "_Boxes", made: NDArray[np.uint8]) -> None:
        """Have threads resize all boxes, as many as pay."""
        threads = min(self._threads, 1 + made.nbytes // _THREAD_BYTES)
        bounds = np.linspace(0, len(made), threads + 1).astype(int)
        spans = [slice(*span) for span in pairwise(bounds.tolist())]
        others = [self._pool.submit(boxes.resize, span, made) for span in spans[1:]]
        boxes.resize(spans[0], made)
        for other in others:
            other.result()


class _Boxes(NamedTuple):
    """What `resize_boxes` is told of n images besides their pixels."""

    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    pitches: NDArray[np.int64]
    sides: NDArray[np.int64]
    resized: NDArray[np.int64]
    cut: NDArray[np.int64]
    mirrored: NDArray[np.bool_]

    def resize(self, rows: slice, made: NDArray[np.uint8]) -> None:
        """Some of them, into the same rows of `made`, (n, size, 3 * size)."""
        starts, pitches, sides = self.starts[rows], self.pitches[rows], self.sides[rows]
        resized, cut, mirrored = self.resized[rows], self.cut[rows], self.mirrored[rows]
        resize_boxes(self.pixels, starts, pitches, sides, resized, cut, mirrored, made[rows])


def _boxes(images: Images, views: Views, size: int) -> _Boxes:
    """RandomResizedCrop with the boxes of the views, or Resize and CenterCrop of whole images."""
    pitches, count, pixels = 3 * images.widths, len(images.starts), images.pixels.view()
    pixels.flags.writeable = False  # as those of the cache are: for numba it is another type, compiled apart
    if views.short:
        sides = np.stack([images.heights, images.widths], 1)
        resized, cut = resized_then_cut(views.short, size, sides, sides.min(1, keepdims=True))
        return _Boxes(pixels, images.starts, pitches, sides, resized, cut, np.zeros(count, bool))
    (top, one), (bottom, other) = (corner.astype(np.int64).T for corner in (views.start, views.end))
    starts = images.starts + top * pitches + 3 * np.minimum(one, other)
    sides = np.stack([bottom - top, np.abs(other - one)], 1)
    square, nothing = np.full((count, 2), size), np.zeros((count, 2), np.int64)
    return _Boxes(pixels, starts, pitches, sides, square, nothing, one > other)
