"""Makes shards as tasks of Ray: on the hosts of a cluster that share SOURCE and OUT, or in processes of this machine.

A task makes one shard, writes it into the shared folder and returns the shard's record. If the host or the process of a
task dies, Ray starts the task again on another host or in a new process. If a task raises an error, the run ends.
"""

import os
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

from headrace.prep.command.progress import Say
from headrace.prep.make.engines.arrivals import Arrivals
from headrace.prep.make.engines.engine import Engine
from headrace.prep.make.engines.ray_session import connect, first_line, load_ray, refuse_silent, session
from headrace.prep.make.engines.there import Errand
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record
from headrace.prep.make.shard import Tick, Work
from headrace.prep.sources.tar import TarReader
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.urls import Location
from headrace.shards.version import running_version

_RETRIES = 4  # of a task whose host or process died
_LOOK_EVERY = 5.0  # seconds between two looks at the number of CPUs
_STORE = 80_000_000  # bytes for objects on this machine: about the least that Ray allows, and records are small


@contextmanager
def on_ray(address: str | None, source: Location, most: int | None, say: Say) -> Iterator[Engine]:
    """A context with an engine that uses Ray: the cluster at `address`, or Ray started on this machine.

    `source` is absolute. `most` is the largest number of tasks that run at a time on a cluster; None means two for each
    CPU of the cluster. The context works only in the main thread, because it handles signals.

    Raises UsageError if Ray is not installed, or if no cluster answers at the address.
    """
    ray = load_ray()
    if address is not None:
        refuse_silent(address)
    with session(ray):
        if address is not None:
            try:
                connect(ray, address=address)
            except (OSError, RuntimeError, ValueError) as error:
                raise UsageError(f"--ray-address {address}: {first_line(error)}") from error
        yield _Tasks(ray, source, most if address else None, say, local=address is None).make


class _Tasks:
    """Makes shards as tasks of Ray, with a bounded number of tasks at a time."""

    def __init__(self, ray: Any, source: Location, most: int | None, say: Say, *, local: bool) -> None:
        self._ray, self._source, self._most, self._say, self._local = ray, source, most, say, local
        self._at_a_time, self._due, self._told = 0, 0.0, False

    def make(self, jobs: list[Job], work: Work, workers: int, tick: Tick) -> Iterator[Record]:
        """Make the shards of all jobs; yield their records, as an Engine does."""
        if not jobs:
            return
        if self._local:
            self._start(workers)
        else:
            _refuse_copy(work, self._source)
        start = self._starter(work)
        waiting, running, arrivals = deque(jobs), dict[Any, Job](), Arrivals(work.records)
        while waiting or running:
            while waiting and len(running) < self._bound():
                job = waiting.popleft()
                running[start(job)] = job
            for task in self._ray.wait([*running], timeout=_LOOK_EVERY)[0]:
                job = running.pop(task)
                record = self._record(task, job)
                arrivals.add(record.name)
                tick(job.samples, record.bad)
                yield record
        arrivals.wait()

    def _start(self, workers: int) -> None:
        """Start Ray on this machine, for as many tasks at a time as there are workers."""
        self._say("starting Ray on this machine")
        try:
            connect(self._ray, address="local", num_cpus=workers, include_dashboard=False, object_store_memory=_STORE)
        except (OSError, RuntimeError, ValueError) as error:
            raise HeadraceError(
                f"Ray does not start on this machine: {first_line(error)}. Omit --engine ray to use worker processes"
            ) from error

    def _starter(self, work: Work) -> Callable[[Job], Any]:
        """Return a function that hands a job to the cluster as a task."""
        task = self._ray.remote(num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD")(_task(*_search()))
        errand, version = self._ray.put(Errand(work, self._source)), running_version()
        # In a list Ray passes the reference on as it is, so that it is read when the host is known to be right.
        return lambda job: task.options(name=f"shard {job.name}").remote(astuple(job), [errand], version)

    def _bound(self) -> int:
        """Return how many tasks may run at a time.

        By default, this number changes when hosts join or leave the cluster.
        """
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _LOOK_EVERY
            cpus = int(self._ray.cluster_resources().get("CPU", 0))
            if not cpus and not self._told:
                self._say("the Ray cluster has no CPU now: waiting for a host")
                self._told = True
            self._at_a_time = self._most or max(2, 2 * cpus)
        return self._at_a_time

    def _record(self, task: Any, job: Job) -> Record:
        """Return the record that a finished task has made, or raise the task's error."""
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(task)
        except errors.RayTaskError:
            raise  # a fault of Headrace, with the traceback of that process
        except errors.RayError as error:
            raise HeadraceError(
                f"{job.name}: each of {1 + _RETRIES} processes that tried to make this shard died, or its host did "
                f"({first_line(error)}). Finished shards are kept: give the same command again, with fewer CPUs per "
                "host if memory was short"
            ) from error
        if isinstance(answer, HeadraceError):
            raise answer
        if isinstance(answer, str):
            raise UsageError(
                f"host {answer}. Install Headrace {running_version()} on that host, for the Python that runs Ray, or "
                "set PYTHONPATH to a folder that contains Headrace and that all hosts share"
            )
        record: Record = answer
        return record


def _task(first: Sequence[str], without: Sequence[str]) -> Callable[..., Any]:
    """Return the function that a host runs as a task.

    Ray sends the code of the function to the host. So the function also runs on a host without Headrace, where it
    reports that Headrace is missing. The function may use nothing else from this module. It puts the folders in `first`
    at the beginning of the module search path, and removes those in `without` from the path.
    """

    def make(job: Sequence[Any], errand: list[Any], version: str) -> Any:
        sys.path[:] = [*first, *(one for one in sys.path if one not in (*first, *without))]
        try:
            import ray  # noqa: PLC0415  in another process

            from headrace.prep.make.engines import there  # noqa: PLC0415  as above
        except ImportError as error:
            return f"{platform.node()}: it cannot load Headrace ({error})"
        return there.make_there(job, lambda: ray.get(errand[0]), version)

    return make


def _search() -> tuple[list[str], list[str]]:
    """Return the folders to put first in a host's module search path, and those to remove from it.

    The first list has the folders in PYTHONPATH. Ray adds the current folder to the path; the second list has this
    folder if this process does not search it.
    """
    named = [os.path.abspath(one) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]  # noqa: PTH100
    here = os.getcwd()  # noqa: PTH109  texts, as in sys.path
    return named, [here] if here not in sys.path else []


def _refuse_copy(work: Work, source: Location) -> None:
    """Raise UsageError if prep reads the source from a copy on this machine, which other hosts cannot open."""
    if isinstance(work.reader, TarReader) and work.reader.is_of_a_copy:
        raise UsageError(
            f"{source}: prep reads this source from a copy that only this machine can open. Unpack the source in a "
            "folder that all hosts share, or omit --ray-address"
        )
