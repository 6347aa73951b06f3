"""Makes shards in worker processes. If a worker dies, the run ends; if the parent dies, its workers end too.

A worker shares only a pipe with its parent, and no lock or queue of multiprocessing. Locks and queues have names in
shared memory, which would stay there forever if all the processes were killed at once.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import ModuleType

from headrace.prep.make.planned import Job
from headrace.prep.make.record import Bad, Record
from headrace.prep.make.shard import Tick, Work, make_shard
from headrace.shards.ending import expected_elsewhere
from headrace.shards.errors import HeadraceError
from headrace.shards.open_files import refuse_limit

_PR_SET_PDEATHSIG = 1
_main_hidden = threading.Lock()
_REPORT_EVERY = 0.1  # seconds
News = tuple[int, list[Bad]]  # samples done since the last news, and those of them that were bad
Answer = News | Record | HeadraceError  # from a worker: its progress, or the result of a job


class _Stopped(Exception):  # noqa: N818 - not an error: the run is being given up
    """Raised in a worker whose parent has closed the pipe."""


def make_shards(jobs: list[Job], work: Work, workers: int, tick: Tick) -> Iterator[Record]:
    """Make the shard of each job; yield the record of a shard when the shard is finished.

    An error that `tick` raises ends the run.
    """
    if workers == 1 or len(jobs) <= 1:
        for job in jobs:
            yield make_shard(job, work, tick)
    else:
        yield from _in_workers(jobs, work, min(workers, len(jobs)), tick)


def _in_workers(jobs: list[Job], work: Work, workers: int, tick: Tick) -> Iterator[Record]:
    waiting = iter(jobs)
    started: list[_Worker] = []
    try:
        with _no_start_is_an_error(workers):
            started.extend(_Worker(work) for _ in range(workers))
        for worker in started:
            worker.give(next(waiting))
        busy = set(started)
        while busy:
            for worker in _with_news(busy):
                answer = worker.answer()
                if isinstance(answer, HeadraceError):
                    raise answer
                if isinstance(answer, tuple):
                    tick(*answer)
                    continue
                job = next(waiting, None)
                if job is None:
                    busy.remove(worker)
                else:
                    worker.give(job)
                yield answer
    finally:
        for worker in started:
            worker.close()
        for worker in started:
            worker.join()


class _Worker:
    """The parent's side of a worker process: starts the process, sends it jobs and receives its answers."""

    def __init__(self, work: Work) -> None:
        # Spawned, not forked: nothing of the parent (threads, descriptors, locks) leaks into a worker.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work, os.getpid()), daemon=True)
        resource_tracker.ensure_running()  # which lets interrupts through when it starts, so not below
        with theirs, _no_interrupt(), _without_main():
            self._process.start()

    def give(self, job: Job) -> None:
        """Send a job to the worker, which must have finished the previous job."""
        with _death_is_an_error():
            self.pipe.send(job)

    def answer(self) -> Answer:
        """Receive the next message of the worker: its progress, or the result of its job."""
        with _death_is_an_error():
            answer: Answer = self.pipe.recv()
        return answer

    def close(self) -> None:
        """Close the pipe, so that the worker ends: at once if it has no job, else at its next report."""
        self.pipe.close()

    def join(self) -> None:
        """Wait until the worker process has ended."""
        self._process.join()


def _with_news(workers: set[_Worker]) -> list[_Worker]:
    """Wait until at least one worker has answered or died; return all such workers."""
    ready = wait([one.pipe for one in workers])
    return [one for one in workers if one.pipe in ready]


@contextmanager
def _death_is_an_error() -> Iterator[None]:
    """A context that turns a broken pipe into a HeadraceError, which says that a worker process died."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise HeadraceError(
            "a worker process died (out of memory, or killed). Finished shards are kept: "
            "give the same command again, with fewer --workers if memory was short"
        ) from error


@contextmanager
def _no_start_is_an_error(workers: int) -> Iterator[None]:
    """A context that turns the system's error about too many processes or pipes into a HeadraceError."""
    try:
        yield
    except OSError as error:
        refuse_limit(error)
        raise HeadraceError(
            f"cannot start {workers} worker processes ({error.strerror or error}). Give fewer --workers, or raise the "
            "limit of processes (`ulimit -u`)"
        ) from error


@contextmanager
def _without_main() -> Iterator[None]:
    """A context in which a new worker does not run the main module of the caller's program again."""
    with _main_hidden:
        program, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = program


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """A context that blocks Ctrl-C (SIGINT); a worker started in it inherits the block, then ignores SIGINT."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, work: Work, parent: int) -> None:
    """The main loop of a worker: do the parent's jobs until the parent closes the pipe."""
    _follow(parent)
    telling = _Telling(pipe)
    with suppress(_Stopped, EOFError, ConnectionResetError):
        while True:
            job = pipe.recv()
            try:
                telling.answer(make_shard(job, work, telling.count))
            except Exception as error:
                known = expected_elsewhere(error)
                if known is None:
                    raise
                telling.answer(known)


class _Telling:
    """A worker's side of the pipe to its parent. Raises _Stopped when the parent has closed the pipe.

    Finished samples are reported at most every 0.1 s, because one report takes both processes as much time as four
    small images.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._samples = 0  # done and not yet reported
        self._bad: list[Bad] = []  # of these
        self._due = 0.0

    def count(self, samples: int, bad: list[Bad]) -> None:
        """Count `samples` more finished samples, including the bad images in `bad`.

        Report the counts if the last report is at least 0.1 s old.
        """
        self._samples += samples
        self._bad += bad
        if time.monotonic() >= self._due:
            self._report()

    def answer(self, answer: Record | HeadraceError) -> None:
        """Report the samples that are not yet reported, then the result of the job."""
        self._report()
        self._send(answer)

    def _report(self) -> None:
        self._send((self._samples, self._bad))
        self._samples, self._bad, self._due = 0, [], time.monotonic() + _REPORT_EVERY

    def _send(self, answer: Answer) -> None:
        try:
            self._pipe.send(answer)
        except OSError as error:
            raise _Stopped from error


def _follow(parent: int) -> None:
    """Make this worker ignore interrupts (Ctrl-C), and end when its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
