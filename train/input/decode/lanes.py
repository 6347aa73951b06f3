"""Jobs done several at a time by threads that each have tools of their own; results come in the order of the jobs."""

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
    """So many threads; `make` makes the tool of one, which turns a job into what is made of it."""

    def __init__(self, count: int, make: Callable[[], Tool[Job, Made]]) -> None:
        self._make = make
        self._in_work = count + 1  # begun or waiting: a thread that is done finds its next job there
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="headrace-lane")
        self._idle: SimpleQueue[Tool[Job, Made]] = SimpleQueue()

    def run(self, jobs: Iterator[Job]) -> Iterator[tuple[Job, Made]]:
        """Each job with what was made of it, in order. A job's error is raised in its place, and ends the run."""
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
        """End the threads, after the jobs that they are at."""
        self._pool.shutdown(cancel_futures=True)

    def _do(self, job: Job) -> Made:
        try:
            tool = self._idle.get_nowait()
        except Empty:  # at most one a thread is ever made, in that thread
            tool = self._make()
        with marked(Part.DECODE):
            made = tool(job)
        self._idle.put(tool)  # not after an error: nobody knows what it is good for then
        return made


def _first(begun: "deque[tuple[Job, Future[Made]]]") -> tuple[Job, Made]:
    job, future = begun.popleft()
    return job, future.result()
