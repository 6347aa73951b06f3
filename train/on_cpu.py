"""Plans in, resized images out on a CPU: read, decode, resize, in one thread."""

from torch import Tensor

from shards.shardset import Split
from train.batch import Plan
from train.decoding import explained
from train.graphs import Decoder
from train.reading import read
from train.regions import seen
from train.resample import resample


class OnCpu:
    """Makes the images of one plan at a time."""

    def __init__(self, split: Split, max_batch: int, threads: int) -> None:
        self._split, self._decode = split, Decoder(max_batch, threads)

    def __call__(self, plan: Plan) -> Tensor:
        """uint8 (b, size, size, 3). Raises DataError when a sample's bytes changed or do not decode, naming it."""
        regions = seen(plan.views, self._split.heights[plan.ids], self._split.widths[plan.ids])
        jpegs = read(self._split, plan.ids)
        try:
            images = self._decode(jpegs, regions)
        except RuntimeError as error:
            raise explained(self._split, plan.ids, error) from error
        return resample(images, regions.moved(plan.views), plan.size)
