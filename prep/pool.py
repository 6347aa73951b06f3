"""Worker processes that make shards. A worker that dies ends the run; a parent that dies takes its workers along."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from prep.record import Record
from prep.shardjob import Job, Work, make_shard
from shards.errors import HeadraceError

_REFRESH = 0.2  # seconds between two reports of progress
_PR_SET_PDEATHSIG = 1

_state: Any = None  # in a worker: (work, counter, stop flag)


class _Stopped(Exception):  # noqa: N818 - not an error: the run is being given up
    """Raised in a worker between two samples when the run is given up."""


def make_shards(jobs: list[Job], work: Work, workers: int, progress: Callable[[int], None]) -> Iterator[Record]:
    """The records of all jobs, in the order in which they finish. `progress` gets the samples done so far."""
    if workers == 1 or len(jobs) <= 1:
        yield from _in_this_process(jobs, work, progress)
    else:
        yield from _in_workers(jobs, work, min(workers, len(jobs)), progress)


def _in_this_process(jobs: list[Job], work: Work, progress: Callable[[int], None]) -> Iterator[Record]:
    done = 0

    def tick(samples: int) -> None:
        nonlocal done
        done += samples
        progress(done)

    for job in jobs:
        yield make_shard(job, work, tick)


def _in_workers(jobs: list[Job], work: Work, workers: int, progress: Callable[[int], None]) -> Iterator[Record]:
    # Spawned, not forked: nothing of the parent (threads, descriptors, locks) leaks into a worker.
    context = multiprocessing.get_context("spawn")
    counter, stop = context.Value("q", 0), context.RawValue("b", 0)
    initial = (work, counter, stop, os.getpid())
    waiting = iter(jobs)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=initial) as pool:
        try:
            running: set[Future[Record]] = set()
            while True:
                with _no_interrupt():
                    for job in waiting:
                        running.add(pool.submit(_run, job))
                        if len(running) > workers:  # one job waits: what is in memory stays bounded
                            break
                if not running:
                    return
                done, running = wait(running, timeout=_REFRESH, return_when=FIRST_COMPLETED)
                progress(counter.value)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise HeadraceError(
                "a worker process died (out of memory, or killed). Finished shards are kept: "
                "give the same command again, with fewer --workers if memory was short"
            ) from error
        finally:
            stop.value = 1
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back: a worker that starts now inherits that, until it ignores it by itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(work: Work, counter: Any, stop: Any, parent: int) -> None:
    """Set up a worker: an interrupt is the parent's to handle, and the parent's death is ours."""
    global _state  # noqa: PLW0603 - a worker process has one state, set before its first job
    _state = (work, counter, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _run(job: Job) -> Record:
    work, counter, stop = _state

    def tick(samples: int) -> None:
        if stop.value:
            raise _Stopped
        with counter.get_lock():
            counter.value += samples

    return make_shard(job, work, tick)
