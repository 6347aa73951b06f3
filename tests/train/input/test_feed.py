import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.batch import Batch
from headrace.train.input.feed import Feed
from headrace.train.input.plans import Plan, ValidationPlans
from tests.train.pictures import CPU, pipeline, training


@pytest.fixture
def split(tiny_set: Path) -> Split:
    """Return the 480 training samples of the tiny set."""
    return ShardSet.open(tiny_set).split("train")


def feeding() -> int:
    """Return the number of feed threads that are alive."""
    return sum(thread.name == "headrace-feed" for thread in threading.enumerate())


def rss_mib() -> float:
    """Return the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_batches_come_in_order_and_whole(split: Split) -> None:
    """The consumer gets each plan's batch once, in order, with its labels; afterwards the stream stays ended."""
    plans = training(split)
    wanted = list(plans.stream(0, 4, range(3)))
    with Feed(pipeline(split), plans.stream(0, 4, range(3)), CPU) as feed:
        batches = list(feed)
        assert next(feed, None) is None
    assert [(one.plan.step, one.plan.group) for one in batches] == [(plan.step, plan.group) for plan in wanted]
    for batch, plan in zip(batches, wanted, strict=True):
        assert batch.labels.tolist() == plan.labels.tolist() == split.labels[plan.ids].tolist()
        assert batch.images.shape == (16, 64, 64, 3)


def entries(folder: str) -> int:
    """Return the number of names in a folder."""
    return len(list(Path(folder).iterdir()))


class BadPlanError(Exception):
    """Raised by a broken stream of plans."""


def broken(split: Split) -> Iterator[Plan]:
    """Yield six plans, then raise an error."""
    yield from training(split).stream(0, 2, range(3))
    raise BadPlanError


def test_error_of_the_thread_reaches_the_consumer(split: Split) -> None:
    """The error itself is raised, after at least the batches before DALI's requests ahead, and raised again later."""
    with Feed(pipeline(split), broken(split), CPU) as feed:
        got: list[Batch] = []
        with pytest.raises(BadPlanError):
            got.extend(feed)
        with pytest.raises(BadPlanError):
            next(feed)
    assert 4 <= len(got) <= 6
    assert feeding() == 0


def test_the_first_batch_is_waited_for_apart(split: Split) -> None:
    """Time before the first batch is no stall; a stream that ends or fails at once is not waited for."""

    def slow() -> Iterator[Plan]:
        time.sleep(0.4)
        yield from training(split).stream(0, 2, range(3))

    def failing() -> Iterator[Plan]:
        raise BadPlanError
        yield

    with Feed(pipeline(split), slow(), CPU) as feed:
        assert feed.wait_for_first() >= 0.3
        next(feed)
        assert feed.stalled < 0.1
        assert len(list(feed)) == 5
    with Feed(pipeline(split), iter(()), CPU) as feed:
        feed.wait_for_first()
        assert next(feed, None) is None
    with Feed(pipeline(split), failing(), CPU) as feed:
        feed.wait_for_first()
        with pytest.raises(BadPlanError):
            next(feed)


def test_closing_in_mid_stream_ends_the_thread(split: Split) -> None:
    """Closing an unfinished feed ends its thread, and the pipeline serves the next feed correctly."""
    pipe, plans = pipeline(split), training(split)
    with Feed(pipe, plans.stream(0, 10_000, range(3)), CPU) as feed:
        next(feed)
        assert feeding() == 1
    assert feeding() == 0
    with Feed(pipe, plans.stream(7, 8, range(3)), CPU) as feed:
        assert [(batch.plan.step, batch.plan.group) for batch in feed] == [(7, 0), (7, 1), (7, 2)]


def test_closing_after_an_error_of_the_consumer(split: Split) -> None:
    """An exception in the block that uses the feed ends the thread too."""
    with pytest.raises(BadPlanError), Feed(pipeline(split), training(split).stream(0, 10_000, range(3)), CPU):
        raise BadPlanError
    assert feeding() == 0


def slowly(plans: Iterator[Plan], seconds: float) -> Iterator[Plan]:
    """Yield plans from a source that needs this long for each."""
    for plan in plans:
        time.sleep(seconds)
        yield plan


def test_waiting_is_counted_as_stall(split: Split) -> None:
    """Waiting for a slow source is counted in `stalled`."""
    plans = ValidationPlans(split, 16, 1.0, 32)
    with Feed(pipeline(split), slowly(plans.stream(range(5)), 0.1), CPU) as feed:
        began = time.perf_counter()
        assert len(list(feed)) == 5
        waited = time.perf_counter() - began
    assert 0.4 < feed.stalled <= waited


def test_work_of_the_consumer_is_no_stall(split: Split) -> None:
    """While the consumer works, the feed makes batches ahead, and the work is not counted as a stall."""
    plans = ValidationPlans(split, 16, 1.0, 32)
    with Feed(pipeline(split), plans.stream(range(3)), CPU) as feed:
        next(feed)
        first = feed.stalled
        for _ in range(50):  # until both others are ready, however busy the machine is
            time.sleep(0.1)
            if feed._queue.qsize() == 3:
                break
        list(feed)
    assert feed.stalled - first < 0.1


def test_feed_stops_ahead_at_its_depth(split: Split) -> None:
    """A feed without a consumer makes only its depth, one more, and the batches that DALI holds."""
    asked = []

    def counted() -> Iterator[Plan]:
        for plan in training(split).stream(0, 10_000, range(3)):
            asked.append(plan)
            yield plan

    with Feed(pipeline(split), counted(), CPU, depth=2):
        time.sleep(1.0)
        assert 2 <= len(asked) <= 2 + 1 + 2


def test_memory_stays_flat_over_many_pipelines(split: Split) -> None:
    """Pipelines that are built again and again leave no memory, thread or file behind (64 MiB allowed in 20)."""

    def once() -> None:
        plans = ValidationPlans(split, 16, 1.0, 64)
        with Feed(pipeline(split), plans.stream(range(len(plans))), CPU) as feed:
            assert sum(len(batch.labels) for batch in feed) == 480

    for _ in range(5):
        once()
    gc.collect()
    memory, tasks, files = rss_mib(), entries("/proc/self/task"), entries("/proc/self/fd")
    for _ in range(20):
        once()
    gc.collect()
    assert rss_mib() - memory < 64
    assert entries("/proc/self/task") <= tasks + 4
    assert entries("/proc/self/fd") <= files + 4
