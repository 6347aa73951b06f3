"""Runs jobs in several threads, called lanes, each with a separate worker; yields results in the order of the jobs."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from headrace.train.machine.profile import Part, marked

Job = TypeVar("Job")
Made = TypeVar("Made")
Tool = Callable[[Job], Made]


class Lanes(Generic[Job, Made]):
    """A pool of `count` threads (lanes).

    Each thread builds a worker with `make()`; the worker turns a job into a result.
    """

    def __init__(self, count: int, make: Callable[[], Tool[Job, Made]]) -> None:
        self._make = make
        self._in_work = count + 1  # jobs begun or waiting, so that a finished thread finds its next job
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="headrace-lane")
        self._idle: SimpleQueue[Tool[Job, Made]] = SimpleQueue()

    def run(self, jobs: Iterator[Job]) -> Iterator[tuple[Job, Made]]:
        """Yield each job with its result, in order. If a job fails, its error is raised in place of its result."""
        begun: deque[tuple[Job, Future[Made]]] = deque()
        try:
            for job in jobs:
                begun.append((job, self._pool.submit(self._do, job)))
                if len(begun) == self._in_work:
                    yield _first(begun)
            while begun:
                yield _first(begun)
        finally:
            for _, future in begun:
                future.cancel()

    def close(self) -> None:
        """End each thread after its current job."""
        self._pool.shutdown(cancel_futures=True)

    def _do(self, job: Job) -> Made:
        try:
            tool = self._idle.get_nowait()
        except Empty:  # at most one worker is made in each thread
            tool = self._make()
        with marked(Part.DECODE):
            made = tool(job)
        self._idle.put(tool)  # not after an error, which may leave the worker unusable
        return made


def _first(begun: "deque[tuple[Job, Future[Made]]]") -> tuple[Job, Made]:
    job, future = begun.popleft()
    return job, future.result()
