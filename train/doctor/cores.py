"""How much CPU this process is given: threads that compute and wait for each other, as those of a step do."""

import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from headrace.train.doctor.measured import Cause

_SECONDS = 0.4  # several periods of a control group's quota, which are 0.1 s
_BLOCK = bytes(1 << 17)
_PART_SECONDS = 0.0004  # of computing before threads wait for each other: an operator of torch takes about so long
_TRIED = 64  # blocks by which a part is measured
_CLEAR = 0.1  # share of the time that a cause has to explain


class Probe(NamedTuple):
    """What a probe saw: busy cores, and fractions of the time that threads were kept from them."""

    got: float
    throttled: float  # by the quota of the control group
    queued: float  # behind other programs, a thread's mean


def probe(threads: int, seconds: float = _SECONDS) -> Probe:
    """Compute in so many threads for about so long: all do the same, and wait for one another after each part."""
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
    """What keeps a process from its cores, if it got this share of them, 0 to 1."""
    if share >= 1 - _CLEAR:
        return Cause.NONE
    if max(one.throttled for one in probes) > _CLEAR:
        return Cause.QUOTA
    if sum(one.queued for one in probes) / len(probes) > _CLEAR / 2:
        return Cause.OTHERS
    return Cause.STOPPED


def _blocks_of_a_part() -> int:
    """How many blocks a thread sums up in its part, by its own CPU time: others on the cores change nothing."""
    zlib.crc32(_BLOCK)
    began = time.thread_time()
    for _ in range(_TRIED):
        zlib.crc32(_BLOCK)
    return max(1, round(_TRIED * _PART_SECONDS / max(1e-6, time.thread_time() - began)))


def _queued_seconds() -> float:
    """How long this thread has waited for a core so far; zero where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


def _throttled_seconds() -> float:
    """How long the control group of this process was kept from computing so far; zero where the system does not tell.

    Version 2 counts in microseconds, version 1 in nanoseconds.
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
    """A figure of a file of the control group; zero where there is none of this name."""
    lines = path.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key} ")), 0)
