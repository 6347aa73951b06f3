"""Several threads process jobs in order, a few at a time, each with its own worker."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.train.input.decode.lanes import Lanes


def lanes(count: int, work: Callable[[int], object]) -> Lanes[int, object]:
    """Return lanes whose workers all run the same function."""
    return Lanes(count, lambda: work)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5), st.integers(0, 30), st.integers(0, 100))
def test_results_come_in_order(count: int, jobs: int, seed: int) -> None:
    """Results are in the order of jobs, however long each takes."""
    pauses = np.random.default_rng(seed).random(jobs) / 500

    def work(job: int) -> int:
        time.sleep(pauses[job])
        return job * job

    assert list(lanes(count, work).run(iter(range(jobs)))) == [(job, job * job) for job in range(jobs)]


def test_jobs_are_done_at_the_same_time() -> None:
    """Three lanes process three jobs at the same time: each job waits for the two others."""
    barrier = threading.Barrier(3, timeout=20)
    assert len(list(lanes(3, lambda _: barrier.wait()).run(iter(range(9))))) == 9


def test_a_tool_is_used_by_one_thread_at_a_time() -> None:
    """There are never more workers than lanes, and no worker is used by two threads at once."""
    made, free = itertools.count(), [threading.Lock() for _ in range(3)]

    def make() -> Callable[[int], int]:
        number = next(made)

        def work(job: int) -> int:
            assert free[number].acquire(blocking=False)
            time.sleep(0.001)
            free[number].release()
            return job

        return work

    found: Lanes[int, int] = Lanes(3, make)
    assert [job for job, _ in found.run(iter(range(40)))] == list(range(40))
    assert next(made) <= 3


def test_work_ahead_is_bounded() -> None:
    """For a slow consumer, one result per lane and one more are made ahead, and no more jobs begin."""
    begun: list[int] = []
    running = lanes(2, begun.append).run(iter(range(100)))
    for taken in range(1, 5):
        next(running)
        time.sleep(0.05)
        assert len(begun) <= taken + 2


def test_an_error_comes_in_its_place() -> None:
    """Results before the error are yielded, and then the error itself is raised."""

    def work(job: int) -> int:
        if job == 5:
            raise LookupError("the fifth")
        return job

    running = lanes(3, work).run(iter(range(100)))
    assert [job for job, _ in itertools.islice(running, 5)] == list(range(5))
    with pytest.raises(LookupError, match="the fifth"):
        next(running)


def test_an_error_of_the_jobs_is_raised() -> None:
    """An error in the iterator of jobs ends the run too."""

    def jobs() -> Iterator[int]:
        yield 1
        raise LookupError("no second")

    with pytest.raises(LookupError, match="no second"):
        list(lanes(2, lambda job: job).run(jobs()))


def test_threads_end_with_the_lanes() -> None:
    """A closed pipeline leaves no threads, also after a run that was not finished."""
    before = set(threading.enumerate())
    found = lanes(3, lambda job: job)
    running = found.run(iter(range(100)))
    next(running)
    started = set(threading.enumerate()) - before
    assert started
    running.close()  # type: ignore[attr-defined]
    del found, running
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()
