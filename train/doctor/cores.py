"""Measures how many cores this process gets, by running threads that compute and wait for each other as in a step."""

import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from headrace.train.doctor.measured import Cause

_SECONDS = 0.4  # several periods of a control group's quota, which last 0.1 s
_BLOCK = bytes(1 << 17)
_PART_SECONDS = 0.0004  # computing time before threads wait for each other, about as long as an operator of torch
_TRIED = 64  # blocks used to measure a part
_CLEAR = 0.1  # smallest share of the time that a cause must explain


class Probe(NamedTuple):
    """The result of `probe`: the mean number of busy cores, and the fractions of time in which threads had no core."""

    got: float
    throttled: float  # by the quota of the control group
    queued: float  # because of other programs, mean over threads


def probe(threads: int, seconds: float = _SECONDS) -> Probe:
    """Measure the cores that `threads` threads get in about `seconds` seconds.

    All threads compute equally long parts, and wait for one another after each part.
    """
    rounds = max(1, round(seconds / _PART_SECONDS))
    count = _blocks_of_a_part()
    barrier = threading.Barrier(threads)
    busy, queued = [0.0] * threads, [0.0] * threads

    def compute(number: int) -> None:
        cpu, delay = time.thread_time(), _queued_seconds()
        for _ in range(rounds):
            barrier.wait()
            for _ in range(count):
                zlib.crc32(_BLOCK)  # without the interpreter's lock
        busy[number], queued[number] = time.thread_time() - cpu, _queued_seconds() - delay

    workers = [threading.Thread(target=compute, args=(number,)) for number in range(threads)]
    throttled, began = _throttled_seconds(), time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wall = time.perf_counter() - began
    return Probe(sum(busy) / wall, (_throttled_seconds() - throttled) / wall, sum(queued) / threads / wall)


def cause_of(probes: list[Probe], share: float) -> Cause:
    """Return the reason why a process got only the fraction `share`, from 0 to 1, of its cores."""
    if share >= 1 - _CLEAR:
        return Cause.NONE
    if max(one.throttled for one in probes) > _CLEAR:
        return Cause.QUOTA
    if sum(one.queued for one in probes) / len(probes) > _CLEAR / 2:
        return Cause.OTHERS
    return Cause.STOPPED


def _blocks_of_a_part() -> int:
    """Return how many blocks of bytes a thread checksums before it waits for the other threads.

    The number is computed from the CPU time of a block, which does not depend on what other programs do.
    """
    zlib.crc32(_BLOCK)
    began = time.thread_time()
    for _ in range(_TRIED):
        zlib.crc32(_BLOCK)
    return max(1, round(_TRIED * _PART_SECONDS / max(1e-6, time.thread_time() - began)))


def _queued_seconds() -> float:
    """Return the seconds that this thread has waited for a core so far; 0 if the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


def _throttled_seconds() -> float:
    """Return the seconds that this process's control group has been throttled so far; 0 if the system does not tell.

    Version 2 of control groups counts in microseconds, version 1 in nanoseconds.
    """
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, group = line.split(":", 2)
            if "cpu" in controllers.split(","):
                return _figure(Path(f"/sys/fs/cgroup/cpu{group}/cpu.stat"), "throttled_time") / 1e9
        for folder in (f"/sys/fs/cgroup{group}", "/sys/fs/cgroup"):
            if Path(folder, "cpu.stat").exists():
                return _figure(Path(folder, "cpu.stat"), "throttled_usec") / 1e6
    return 0.0


def _figure(path: Path, key: str) -> int:
    """Return the figure called `key` in a file of the control group; 0 if the file has no such figure."""
    lines = path.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key} ")), 0)
