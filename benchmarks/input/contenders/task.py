"""The task that all contenders of `benchmarks.input.peers` do, and the interface that each implements."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

BATCH = 256
DATA = "the training split of SHARDS"
AREA, RATIO, FLIP = (0.35, 1.0), (3 / 4, 4 / 3), 0.5
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of pixels from 0 to 255
UNIT_MEAN, UNIT_STD = tuple(m / 255 for m in MEAN), tuple(s / 255 for s in STD)  # of pixels from 0 to 1
THREADS = len(os.sched_getaffinity(0))


class Given(NamedTuple):
    """The input of a contender: the shard set, the side of the images, and the path of its own format if it has one."""

    shards: Path
    size: int
    prepared: Path


class Contender(NamedTuple):
    """A contender: an endless stream of batches, the packages that it needs, and how to make its own format."""

    batches: Callable[[Given], Iterator[Any]]
    packages: dict[str, str]
    """Maps distributions to modules."""
    how: str
    prepare: Callable[[Path, Path], None] | None = None
    """Makes a new file or folder from the shard set; contenders that differ only in the training size share it."""
    floor: bool = False
    """Whether the contender does only the part of the task that nobody can avoid."""


def split(shards: Path) -> Any:
    """The training split, opened with Headrace's reader."""
    from headrace.shards.shardset import ShardSet

    return ShardSet.open(shards).split("train")


def jpegs(shards: Path, limit: int | None = None) -> Iterator[tuple[bytes, int]]:
    """Yield the bytes and the label of every training sample, in the order of the tars."""
    import numpy as np

    found = split(shards)
    end = len(found) if limit is None else min(len(found), limit)
    for first in range(0, end, BATCH):
        ids = np.arange(first, min(first + BATCH, end))
        for jpeg, label in zip(found.jpegs(ids), found.labels[ids].tolist(), strict=True):
            yield jpeg.tobytes(), label


class Samples:
    """A map-style data set over Headrace's reader: transformed image and label."""

    def __init__(self, shards: Path, transform: Callable[[bytes], Any]) -> None:
        self._split = split(shards)
        self._transform = transform

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import numpy as np

        return self._transform(self._split.jpegs(np.array([index]))[0].tobytes()), int(self._split.labels[index])


def loaded(dataset: Any, **options: Any) -> Iterator[Any]:
    """Yield the images of torch's DataLoader, epoch after epoch, with a persistent worker for each core."""
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    loader = DataLoader(dataset, BATCH, num_workers=THREADS, persistent_workers=True, drop_last=True, **options)
    while True:
        for images, _ in loader:
            yield images
