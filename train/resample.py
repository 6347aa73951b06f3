"""Views of decoded images, cut and resized on the CPU: the bits of torchvision's transforms on uint8 tensors.

torch's kernel is the one that torchvision calls: antialiased bilinear, in 16-bit fixed point on the vector units. The
resize of DALI takes several times as long on a CPU (docs/decisions/0013). A call costs as much as the pixels of a
small image, so views are not resized one by one: the kernel goes first along rows, then along columns, and all rows of
one width go through one call, then all images of one height.
"""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.augment import Views, resized_then_cut

Image = NDArray[np.uint8]
Integers = NDArray[np.int64]
Task = TypeVar("Task")
_CHUNK_BYTES = 1 << 24  # decoded images that are worked on at a time
_PIECE_BYTES = 1 << 20  # result of images of one shape that is made in one call
_THREAD_BYTES = 1 << 23  # result that is worth another thread: below, threads only wait for the interpreter's lock
_SERIAL = 1 << 15  # elements from which on torch starts OpenMP threads, which would be as many again for each of ours
_resize = torch.ops.aten._upsample_bilinear2d_aa.out  # noqa: SLF001  F.interpolate, into a tensor that is there

with warnings.catch_warnings(action="ignore"):  # torch's warning of arrays that are read-only comes once: this is it
    torch.from_numpy(np.frombuffer(b"\0", np.uint8))


class Resampler:
    """Resizes the views of a batch with at most so many threads, that of the caller among them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="headrace-resize")

    def __call__(self, images: Sequence[Image], views: Views, size: int) -> Tensor:
        """uint8 (n, size, size, 3) of n images, each uint8 (height, width, 3), which are not kept."""
        made = np.empty((len(images), size, size, 3), np.uint8)
        each = max(1, _CHUNK_BYTES // max(image.nbytes for image in images))
        for first in range(0, len(images), each):
            some = slice(first, first + each)
            work = self._centres if views.short else self._boxes
            work(images[some], views.only(some), made[some])
        return torch.from_numpy(made)

    def _boxes(self, images: Sequence[Image], views: Views, made: Image) -> None:
        """RandomResizedCrop with the boxes of the views."""
        boxes = _Boxes(images, views, made.shape[1])
        self._share(boxes.widen, boxes.by_width, made.nbytes)
        self._share(lambda group: boxes.heighten(group, made), _groups(boxes.heights), made.nbytes)

    def _centres(self, images: Sequence[Image], views: Views, made: Image) -> None:
        """Resize and CenterCrop: images of one shape go together."""
        shapes = np.array([image.shape[:2] for image in images])
        each = max(1, _PIECE_BYTES // made[0].nbytes)
        groups = _groups(shapes[:, 0] << 32 | shapes[:, 1])
        pieces = [group[first : first + each] for group in groups for first in range(0, len(group), each)]

        def work(piece: Integers) -> None:
            together = np.stack([images[row] for row in piece])
            made[piece] = _central(together, views.short, made.shape[1])

        self._share(work, pieces, made.nbytes)

    def _share(self, work: Callable[[Task], None], tasks: Sequence[Task], size: int) -> None:
        """Have threads do all tasks, as many as pay for a result of so many bytes. Raises what one of them raises."""
        threads = min(self._threads, 1 + size // _THREAD_BYTES)

        def some(number: int) -> None:
            with torch.no_grad():
                for task in tasks[number::threads]:
                    work(task)

        others = [self._pool.submit(some, number) for number in range(1, threads)]
        some(0)
        for other in others:
            other.result()


class _Boxes:
    """The boxes of some images on their way to size x size.

    Their rows lie one after another, those of one width together, and of them those to be mirrored last.
    """

    def __init__(self, images: Sequence[Image], views: Views, size: int) -> None:
        (top, one), (bottom, other) = (corner.astype(np.int64).T for corner in (views.start, views.end))
        self.heights, widths, mirrored = bottom - top, np.abs(other - one), one > other
        self._flat = np.concatenate([image.reshape(-1) for image in images])
        pitch = 3 * np.array([image.shape[1] for image in images])
        starts = np.cumsum([0, *(image.size for image in images)])[:-1]
        first = starts + top * pitch + 3 * np.minimum(one, other)

        order = np.argsort(2 * widths + mirrored, kind="stable")
        heights = self.heights[order]
        ends = np.cumsum(heights)
        down = np.arange(ends[-1]) - np.repeat(ends - heights, heights)
        self._bytes = np.repeat(first[order], heights) + down * np.repeat(pitch[order], heights)  # where a row begins
        self._widths, self._mirrored = np.repeat(widths[order], heights), np.repeat(mirrored[order], heights)
        self._row = np.empty(len(images), np.int64)  # the first one of each box
        self._row[order] = ends - heights
        self._wide = np.empty((ends[-1], size, 3), np.uint8)
        self.by_width = _groups(self._widths)

    def widen(self, group: Integers) -> None:
        """The rows of one width become `size` wide, and are mirrored where they shall be."""
        width, rows = int(self._widths[group[0]]), slice(int(group[0]), int(group[-1]) + 1)
        every = np.ndarray((self._flat.size - 3 * width + 1, 3 * width), np.uint8, self._flat, 0, (1, 1))
        pixels = every[self._bytes[rows]].reshape(1, -1, width, 3)
        plain = len(group) - np.count_nonzero(self._mirrored[rows])
        _mirror(_channels_first(pixels)[:, :, plain:])
        _resized(pixels, self._wide[rows][None])

    def heighten(self, group: Integers, made: Image) -> None:
        """The boxes of one height become `size` high, and go to their places."""
        height, size = int(self.heights[group[0]]), made.shape[1]
        boxes = self._wide[(self._row[group][:, None] + np.arange(height)).reshape(-1)]
        higher = np.empty((len(group), size, size, 3), np.uint8)
        _resized(boxes.reshape(len(group), height, size, 3), higher)
        made[group] = higher


def _groups(keys: Integers) -> list[Integers]:
    """The places of equal keys together."""
    order = np.argsort(keys, kind="stable")
    bounds = [0, *(np.flatnonzero(np.diff(keys[order])) + 1).tolist(), len(keys)]
    return [order[first:last] for first, last in pairwise(bounds)]


def _channels_first(images: Image) -> Tensor:
    """(n, height, width, 3) as torch's (n, 3, height, width), channels last in memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def _resized(images: Image, made: Image) -> None:
    """The images, in all of `made`."""
    _resize(_channels_first(images), list(made.shape[1:3]), False, None, None, out=_channels_first(made))


def _mirror(rows: Tensor) -> None:
    """(1, 3, rows, width) from right to left, a part at a time that torch does without threads."""
    for part in rows.split(max(1, (_SERIAL - 1) // (3 * rows.shape[3])), 2):
        part.copy_(part.flip(3))


def _central(images: Image, short: int, size: int) -> Image:
    """Resize(short) and CenterCrop(size) of images of one shape."""
    sides = np.array(images.shape[1:3], np.int32)
    resized, first = resized_then_cut(short, size, sides, sides.min())
    whole = np.empty((len(images), *resized.tolist(), 3), np.uint8)
    _resized(images, whole)
    top, left = first.tolist()
    return whole[:, top : top + size, left : left + size]
