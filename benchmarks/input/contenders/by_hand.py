"""A solution by hand for this one task with simplejpeg and OpenCV, and the parts of the task that nobody can avoid."""

import multiprocessing
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.input.contenders.crop import random_box
from benchmarks.input.contenders.task import BATCH, FLIP, MEAN, STD, THREADS, Contender, Given, jpegs, split

_SLOTS = 4  # batches of shared memory for each worker
_HELD = 40 * BATCH  # samples that a floor uses


def _fill(given: Given, worker: int, slots: Any, free: Any, ready: Any) -> None:
    """Fill shared memory with this worker's share of the batches, normalised. Never returns."""
    import cv2
    import numpy as np
    import simplejpeg

    cv2.setNumThreads(1)
    random.seed(worker)
    samples, size = split(given.shards), given.size
    scale = np.tile(1 / np.array(STD, np.float32), size * size).reshape(size, size, 3)
    shift = np.tile(np.array(MEAN, np.float32) / np.array(STD, np.float32), size * size).reshape(size, size, 3)
    while True:
        order = np.random.default_rng(worker).permutation(len(samples))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            slot = free.get()
            images = slots[slot]
            for place, jpeg in enumerate(samples.jpegs(order[first : first + BATCH])):
                pixels = simplejpeg.decode_jpeg(jpeg)
                x, y, w, h = random_box(pixels.shape[1], pixels.shape[0])
                how = cv2.INTER_AREA if min(w, h) > size else cv2.INTER_LINEAR
                view = cv2.resize(pixels[y : y + h, x : x + w], (size, size), interpolation=how)
                if random.random() < FLIP:
                    view = cv2.flip(view, 1)
                np.multiply(view, scale, out=images[place])
                images[place] -= shift
            ready.put(slot)


def by_hand(given: Given) -> Iterator[Any]:
    """Yield batches from shared memory, which a process for each core fills."""
    import numpy as np

    fork = multiprocessing.get_context("fork")
    shape = (THREADS * _SLOTS, BATCH, given.size, given.size, 3)
    memory = fork.RawArray("f", int(np.prod(shape)))
    slots = np.frombuffer(memory, np.float32).reshape(shape)
    ready = fork.SimpleQueue()
    free = [fork.SimpleQueue() for _ in range(THREADS)]
    for worker, mine in enumerate(free):
        for slot in range(worker * _SLOTS, (worker + 1) * _SLOTS):
            mine.put(slot)
        fork.Process(target=_fill, args=(given, worker, slots, mine, ready), daemon=True).start()
    while True:
        slot = ready.get()
        yield slots[slot]
        free[slot // _SLOTS].put(slot)


def decode_only(given: Given) -> Iterator[Any]:
    """Only decode the same bytes with libjpeg-turbo, in one thread."""
    import simplejpeg

    held = [jpeg for jpeg, _ in jpegs(given.shards, _HELD)]
    while True:
        for first in range(0, len(held), BATCH):
            yield [simplejpeg.decode_jpeg(jpeg) for jpeg in held[first : first + BATCH]]


def resize_only(given: Given) -> Iterator[Any]:
    """Only crop and resize decoded images with OpenCV, in one thread."""
    import cv2
    import simplejpeg

    cv2.setNumThreads(1)
    held = [simplejpeg.decode_jpeg(jpeg) for jpeg, _ in jpegs(given.shards, _HELD)]
    boxes = [random_box(image.shape[1], image.shape[0]) for image in held]
    side = (given.size, given.size)
    while True:
        for first in range(0, len(held), BATCH):
            some = zip(held[first : first + BATCH], boxes[first : first + BATCH], strict=True)
            yield [cv2.resize(image[y : y + h, x : x + w], side) for image, (x, y, w, h) in some]


_SIMPLEJPEG = {"simplejpeg": "simplejpeg"}
_BOTH = {**_SIMPLEJPEG, "opencv-python-headless": "cv2"}
CONTENDERS = {
    "by-hand": Contender(by_hand, _BOTH, "simplejpeg and OpenCV in a loop, a process for each core"),
    "floor: decode": Contender(decode_only, _SIMPLEJPEG, "libjpeg-turbo alone, one thread", floor=True),
    "floor: resize": Contender(resize_only, _BOTH, "OpenCV's crop and resize alone, one thread", floor=True),
}
