"""Resized images on a CPU: read, decode, resize, in one thread."""

import numpy as np
from torch import Tensor

from headrace.shards.shardset import Split
from headrace.train.input.decode.blame import explained
from headrace.train.input.decode.crop_resize import resample
from headrace.train.input.decode.dali import Decoder
from headrace.train.input.decode.reading import read
from headrace.train.input.decode.regions import seen
from headrace.train.input.decode.wanted import Planned

_COPIES = 2  # of a decoded batch that a lane holds: DALI's decoder puts images together after decoding them
_MOST_MEMORY = 1 << 30  # bytes of decoded images in all lanes of a process, where they are more than two


class OnCpu:
    """Makes the images of one batch at a time."""

    def __init__(self, split: Split, max_batch: int, threads: int) -> None:
        self._split, self._decode = split, Decoder(max_batch, threads)

    def __call__(self, plan: Planned) -> Tensor:
        """uint8 (b, size, size, 3). Raises DataError when a sample's bytes changed or do not decode, naming it."""
        ids, views, size = plan.wanted
        regions = seen(views, self._split.heights[ids], self._split.widths[ids])
        jpegs = read(self._split, ids)
        try:
            images = self._decode(jpegs, regions)
        except RuntimeError as error:
            raise explained(self._split, ids, error) from error
        return resample(images, regions.moved(views), size)


def lanes_on_cpu(threads: int, batch_bytes: float) -> tuple[int, int]:
    """How many lanes take batches of so many decoded bytes through, and the threads that decode in each of them.

    A lane a thread wastes least. Large images have fewer, so that memory stays bounded; decoding, which takes nearly
    all of their time, is then shared by the threads of a lane.
    """
    fitting = int(_MOST_MEMORY // (_COPIES * batch_bytes))
    lanes = min(threads, max(2, fitting))
    return lanes, -(-threads // lanes)


def mean_bytes(split: Split) -> float:
    """Mean size of the decoded images of a split, in bytes."""
    return float(3 * np.mean(split.widths.astype(np.int64) * split.heights)) if len(split) else 1.0
