"""Resized images on a CPU: read, decode, resize, in one thread."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from headrace.shards.encoded import Encoded
from headrace.train.input.augment.views import Views
from headrace.train.input.decode.blame import explained
from headrace.train.input.decode.crop_resize import resample
from headrace.train.input.decode.dali import Decoder
from headrace.train.input.decode.reading import read
from headrace.train.input.decode.regions import seen
from headrace.train.input.decode.turbo import Files, TurboDecoder
from headrace.train.input.decode.wanted import Planned

_COPIES = 2  # of a decoded batch that a lane holds: DALI's decoder puts images together after decoding them
_MOST_MEMORY = 1 << 30  # bytes of decoded images in all lanes of a process, where they are more than two


class OnCpu:
    """Makes the images of one batch at a time: small ones are decoded by libjpeg-turbo, all others by DALI."""

    def __init__(self, split: Encoded, max_batch: int, threads: int) -> None:
        self._split, self._max_batch, self._threads = split, max_batch, threads
        self._turbo = TurboDecoder()

    def __call__(self, plan: Planned) -> Tensor:
        """uint8 (b, size, size, 3). Raises DataError when a sample's bytes changed or do not decode, naming it."""
        ids, views, size = plan.wanted
        sizes, heights, widths = self._split.file_sizes(ids), self._split.heights[ids], self._split.widths[ids]
        files = Files(read(self._split, ids), sizes, heights, widths)
        done, images = self._turbo(files)
        if done.all():
            return resample(images, views, size)
        left = np.flatnonzero(~done)
        try:
            others = self._by_dali(files.only(left), views.only(left), size)
        except RuntimeError as error:
            raise explained(self._split, ids, error) from error
        if len(left) == len(ids):
            return others
        made = torch.empty(len(ids), size, size, 3, dtype=torch.uint8)
        made[torch.from_numpy(done)] = resample(images, views.only(done), size)
        made[torch.from_numpy(left)] = others
        return made

    def _by_dali(self, files: Files, views: Views, size: int) -> Tensor:
        """The views of some files. Raises RuntimeError where one does not decode."""
        regions = seen(views, files.heights, files.widths)
        return resample(self._dali(files.jpegs, regions), regions.moved(views), size)

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
    return float(3 * np.mean(split.widths.astype(np.int64) * split.heights)) if len(split) else 1.0
