"""Resized images on a CPU: read, decode, resize, in one thread."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headrace.shards.encoded import Encoded, mean_pixels
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.blame import explained
from headrace.train.input.decode.crop_resize import resample
from headrace.train.input.decode.dali import Decoder
from headrace.train.input.decode.reading import read
from headrace.train.input.decode.regions import Regions, seen
from headrace.train.input.decode.turbo import Files, TurboDecoder
from headrace.train.input.decode.wanted import Planned

_COPIES = 2  # of a decoded batch that a lane holds: DALI's decoder puts images together after decoding them
_MOST_MEMORY = 1 << 30  # bytes of decoded images in all lanes of a process, where they are more than two


class Pixels(NamedTuple):
    """Decoded images of a batch: small ones whole, and of the others, at the rows `left`, the regions that are seen."""

    small: Images
    left: NDArray[np.int64]
    others: tuple[Images, Regions] | None  # where rows are left


class OnCpu:
    """Makes the images of one batch at a time: small ones are decoded by libjpeg-turbo, all others by DALI."""

    def __init__(self, split: Encoded, max_batch: int, threads: int) -> None:
        self._split, self._max_batch, self._threads = split, max_batch, threads
        self._turbo = TurboDecoder()

    def __call__(self, plan: Planned) -> Tensor:
        """uint8 (b, size, size, 3). Raises DataError when a sample's bytes changed or do not decode, naming it."""
        ids, views, size = plan.wanted
        pixels = self.decode(plan)
        if pixels.others is None:
            return resample(pixels.small, views, size)
        images, regions = pixels.others
        others = resample(images, regions.moved(views.only(pixels.left)), size)
        if len(pixels.left) == len(ids):
            return others
        done = np.setdiff1d(np.arange(len(ids)), pixels.left, assume_unique=True)
        made = torch.empty(len(ids), size, size, 3, dtype=torch.uint8)
        made[torch.from_numpy(done)] = resample(pixels.small, views.only(done), size)
        made[torch.from_numpy(pixels.left)] = others
        return made

    def read(self, plan: Planned) -> Files:
        """The files of the batch. Raises DataError when a sample's bytes changed, naming it."""
        ids, split = plan.wanted.ids, self._split
        return Files(read(split, ids), split.file_sizes(ids), split.heights[ids], split.widths[ids])

    def decode(self, plan: Planned) -> Pixels:
        """The images before they are resized, in memory that the next batch takes. Raises DataError as the call."""
        files = self.read(plan)
        done, small = self._turbo(files)
        left = np.flatnonzero(~done)
        if not len(left):
            return Pixels(small, left, None)
        regions = seen(plan.wanted.views.only(left), files.heights[left], files.widths[left])
        try:
            return Pixels(small, left, (self._dali(files.only(left).jpegs, regions), regions))
        except RuntimeError as error:
            raise explained(self._split, plan.wanted.ids, error) from error

    @cached_property
    def _dali(self) -> Decoder:
        return Decoder(self._max_batch, self._threads)  # where all images are small, there is none


def lanes_on_cpu(threads: int, batch_bytes: float) -> tuple[int, int]:
    """How many lanes take batches of so many decoded bytes through, and the threads that decode in each of them.

    A lane a thread wastes least. Large images have fewer, so that memory stays bounded; decoding, which takes nearly
    all of their time, is then shared by the threads of a lane.
    """
    fitting = int(_MOST_MEMORY // (_COPIES * batch_bytes))
    lanes = min(threads, max(2, fitting))
    return lanes, -(-threads // lanes)


def mean_bytes(split: Encoded) -> float:
    """Mean size of the decoded images of a split, in bytes."""
    return 3 * mean_pixels(split) if len(split) else 1.0
