"""Plans in, resized images out on a CPU: read, decode, resize, in one thread."""

import numpy as np
from torch import Tensor

from shards.shardset import Split
from train.batch import Plan
from train.blocks import choose_blocks
from train.decoding import explained
from train.graphs import Decoder
from train.reading import read
from train.regions import seen
from train.resample import resample

_COPIES = 2  # of a decoded batch that a lane holds: DALI's decoder puts images together after decoding them
_MOST_MEMORY = 1 << 30  # bytes of decoded images in all lanes of a process, where they are more than two


class OnCpu:
    """Makes the images of one plan at a time."""

    def __init__(self, split: Split, max_batch: int, threads: int) -> None:
        self._split, self._decode = split, Decoder(max_batch, threads)

    def __call__(self, plan: Plan) -> Tensor:
        """uint8 (b, size, size, 3). Raises DataError when a sample's bytes changed or do not decode, naming it."""
        regions = seen(plan.views, self._split.heights[plan.ids], self._split.widths[plan.ids])
        jpegs = read(self._split, plan.ids)
        choose_blocks()
        try:
            images = self._decode(jpegs, regions)
        except RuntimeError as error:
            raise explained(self._split, plan.ids, error) from error
        return resample(images, regions.moved(plan.views), plan.size)


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
