"""A long run does not grow, and the first batch of an epoch is not slower than others."""

import gc
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headrace.shards.order import Order, Windows
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.batch import Batch
from headrace.train.input.decode.cache import plan_caches
from headrace.train.input.decode.cache_fill import open_caches
from headrace.train.input.decode.cached import Decoded
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.feed import Feed
from headrace.train.input.plans import Plan
from headrace.train.machine.world import World
from tests.train.pictures import CPU, pipeline, training

EPOCH = 10  # steps of 48 of 480 samples
MIB = 2**20
POOLED = 4  # threads; a leak leaves one for each epoch or pipeline, 20 at least


@pytest.fixture
def split(tiny_set: Path) -> Split:
    """Return the 480 training samples of the tiny set."""
    return ShardSet.open(tiny_set).split("train")


@pytest.fixture
def decoded(tiny_set: Path, tmp_path: Path) -> Decoded:
    """Return the decoded cache of these samples."""
    shards = ShardSet.open(tiny_set)
    files, _ = plan_caches(shards, ("train",), tmp_path)
    return open_caches(shards, files, World(), 1, print)["train"]


class Held:
    """The memory, threads and descriptors of this process."""

    def __init__(self) -> None:
        gc.collect()
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        self.memory = int(fields["RssAnon"].split()[0]) * 1024  # pages of files come and go as the kernel likes
        self.threads, self.python_threads = int(fields["Threads"]), threading.active_count()
        self.files = len(list(Path("/proc/self/fd").iterdir()))

    def assert_no_more_than(self, before: "Held", middle: "Held", mib: float) -> None:
        """Check that nothing grew, and memory by less than this many MiB.

        Libraries start the threads of their pools when they first have work for them, so a few may start late. A
        descriptor that is opened once, at any time, is no growth: what leaks does so before the middle and after it.
        """
        assert self.memory - before.memory < mib * MIB
        assert self.threads - before.threads < POOLED
        assert self.python_threads <= before.python_threads
        assert min(middle.files - before.files, self.files - middle.files) <= 0


def consume(batches: Iterator[Batch], steps: int) -> None:
    """Take the batches of this many steps."""
    for _ in range(steps):
        next(batches)


@pytest.mark.parametrize("cached", [False, True], ids=["jpegs", "decoded"])
def test_nothing_grows_over_fifty_epochs(split: Split, decoded: Decoded, cached: bool) -> None:
    """In 50 epochs of one feed, memory grows by less than 8 MiB, and no thread or descriptor is added."""
    pixels = decoded if cached else None
    pipe: ImagePipeline[Plan] = ImagePipeline(split, 48, CPU, threads=1, decode="cpu", decoded=pixels)
    plans = training(split, group=48, size=32).stream(0, 60 * EPOCH, range(1))
    with Feed(pipe, plans, CPU) as feed:
        consume(feed, 8 * EPOCH)
        before = Held()
        consume(feed, 25 * EPOCH)
        middle = Held()
        consume(feed, 25 * EPOCH)
        Held().assert_no_more_than(before, middle, 8)


def test_nothing_grows_over_twenty_pipelines_with_a_cache(split: Split, decoded: Decoded) -> None:
    """Pipelines that are built again and again over one cache leave nothing behind."""

    def once() -> None:
        pipe: ImagePipeline[Plan] = ImagePipeline(split, 48, CPU, threads=1, decode="cpu", decoded=decoded)
        with Feed(pipe, training(split, group=48, size=32).stream(0, 2, range(1)), CPU) as feed:
            assert len(list(feed)) == 2

    held = []
    for pipelines in (4, 10, 10):
        for _ in range(pipelines):
            once()
        held.append(Held())
    before, middle, after = held
    after.assert_no_more_than(before, middle, 24)


@pytest.mark.parametrize("windowed", [False, True], ids=["whole", "windows"])
def test_epochs_border_is_no_gap(split: Split, windowed: bool) -> None:
    """The consumer waits no longer at the first batch of an epoch than at other batches."""
    windows = Windows(1, split.shard_sizes) if windowed else None
    plans = replace(training(split, group=48, size=32), order=Order(len(split), 5, windows))
    waits = np.zeros((30, EPOCH))
    with Feed(pipeline(split, batch=48), plans.stream(0, 32 * EPOCH, range(1)), CPU) as feed:
        consume(feed, 2 * EPOCH)
        for epoch in range(30):
            for step in range(EPOCH):
                before = feed.stalled
                consume(feed, 1)
                waits[epoch, step] = feed.stalled - before
                time.sleep(0.001)
    places = np.median(waits, axis=0)  # of 30 epochs: what other programs do hits a place by chance
    assert places[0] <= 1.5 * np.max(places[1:]) + 0.002
