"""Some samples of a split, as we and as Pillow see them."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.input.parity.pillow import Pixels, resized
from headrace.shards.shardset import Split
from headrace.train.input.assembly import Input
from headrace.train.input.augment.operation import Change
from headrace.train.input.augment.operators import changed
from headrace.train.input.augment.views import Samples, Views
from headrace.train.input.decode import dali
from headrace.train.input.decode.regions import seen
from headrace.train.input.decode.wanted import Wanted
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.world import World

BATCH = 100
CPU = Accelerator(None)


class Side:
    """Some samples of a split, decoded and resized by Headrace and by Pillow."""

    def __init__(self, split: Split, ids: NDArray[np.int64]) -> None:
        self.ids, self._split = ids, split
        self.samples = Samples(np.zeros(len(ids), np.int64), ids, split.widths[ids], split.heights[ids])
        self.decoded = [opened(jpeg) for jpeg in split.jpegs(ids)]
        self._input = Input(split, BATCH, Place(World(), CPU, 1))

    def ours(self, views: Views, size: int, changes: tuple[Change, ...] = ()) -> Pixels:
        """Headrace's images, decoded and resized by the pipeline, then changed."""
        images = [images.numpy().copy() for _, images in self._input.images(self._plans(views, size))]
        return changed(CPU.upload(np.concatenate(images)), changes, CPU).numpy()

    def on_a_gpu(self, views: Views, size: int) -> Pixels:
        """The images of the graph for GPUs, which runs on the CPU here."""
        regions = seen(views, self.samples.heights, self.samples.widths)
        inputs = (list(map(np.asarray, self.decoded)), *dali.arguments(views, regions, size))
        graph = dali.viewing(lambda: inputs, len(self.ids), 1, device=None, decode=None)
        return np.array(graph.run()[0].as_tensor())

    def _plans(self, views: Views, size: int) -> Iterator[Plan]:
        for first in range(0, len(self.ids), BATCH):
            some = slice(first, first + BATCH)
            nothing = np.zeros(len(self.ids[some]), np.int64)
            part = views.only(some)
            yield Plan(0, 0, nothing, nothing, Wanted(self.ids[some], part, size))

    def pillows(self, prepare: Callable[[Image.Image, int], Image.Image]) -> Pixels:
        """Pillow's images: the results of `prepare` for each decoded image and its row."""
        return np.stack([np.asarray(prepare(image, row)) for row, image in enumerate(self.decoded)])

    def pillows_crops(self, views: Views, size: int) -> Pixels:
        """The same views, made with Pillow."""

        def crop(image: Image.Image, row: int) -> Image.Image:
            (top, one), (bottom, other) = views.start[row].tolist(), views.end[row].tolist()
            return resized(image, (min(one, other), top, max(one, other), bottom), size, mirror=one > other)

        return self.pillows(crop)


def opened(jpeg: Pixels) -> Image.Image:
    """The upright image that Pillow decodes from a JPEG."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg.tobytes()))).convert("RGB")
