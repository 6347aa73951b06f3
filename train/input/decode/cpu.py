"""Makes resized images on a CPU: reads the files of a batch, decodes the images, and resizes their views."""

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

_COPIES = 2  # copies of a decoded batch in a lane: DALI's decoder joins images after decoding them
_MOST_MEMORY = 1 << 30  # bytes of decoded images in all lanes of a process, if it has more than two lanes


class Pixels(NamedTuple):
    """The decoded images of a batch: small images as a whole, and of larger images only the regions that views show."""

    small: Images
    left: NDArray[np.int64]  # rows of the other images
    others: tuple[Images, Regions] | None  # None if there are no other images


class OnCpu:
    """Makes the images of one batch at a time: libjpeg-turbo decodes small images, DALI all others."""

    def __init__(self, split: Encoded, max_batch: int, threads: int, *, cubic: bool = False) -> None:
        self._split, self._max_batch, self._threads, self._cubic = split, max_batch, threads, cubic
        self._turbo = TurboDecoder()

    def __call__(self, plan: Planned) -> Tensor:
        """Return images, uint8 (b, size, size, 3). Raises DataError if a sample's bytes changed or do not decode."""
        ids, views, size = plan.wanted
        pixels = self.decode(plan)
        if pixels.others is None:
            return resample(pixels.small, views, size, cubic=self._cubic)
        images, regions = pixels.others
        others = resample(images, regions.moved(views.only(pixels.left)), size, cubic=self._cubic)
        if len(pixels.left) == len(ids):
            return others
        done = np.setdiff1d(np.arange(len(ids)), pixels.left, assume_unique=True)
        made = torch.empty(len(ids), size, size, 3, dtype=torch.uint8)
        made[torch.from_numpy(done)] = resample(pixels.small, views.only(done), size, cubic=self._cubic)
        made[torch.from_numpy(pixels.left)] = others
        return made

    def read(self, plan: Planned) -> Files:
        """Return the files of the batch. Raises DataError, which names the sample, if a sample's bytes changed."""
        ids, split = plan.wanted.ids, self._split
        return Files(read(split, ids), split.file_sizes(ids), split.heights[ids], split.widths[ids])

    def decode(self, plan: Planned) -> Pixels:
        """Return the decoded images before they are resized, in memory that the next batch reuses.

        Raises DataError in the same cases as `__call__`.
        """
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
        return Decoder(self._max_batch, self._threads)  # made at first use, because small images do not need it


def lanes_on_cpu(threads: int, batch_bytes: float) -> tuple[int, int]:
    """Return the number of lanes (threads that each make whole batches) and of decoding threads in each lane.

    `batch_bytes` is the size of a decoded batch. One lane per CPU thread is the most efficient. For large images, there
    are fewer lanes, to limit the memory. Each lane then decodes in several threads, because decoding takes nearly all
    of the time.
    """
    fitting = int(_MOST_MEMORY // (_COPIES * batch_bytes))
    lanes = min(threads, max(2, fitting))
    return lanes, -(-threads // lanes)


def mean_bytes(split: Encoded) -> float:
    """Return the mean size of the decoded images of a split, in bytes."""
    return 3 * mean_pixels(split) if len(split) else 1.0
