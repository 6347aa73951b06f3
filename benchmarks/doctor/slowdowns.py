"""Slows a job down from outside. The strength of a slow-down is the share of the job's rate that remains, 0 to 1."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

SOURCE = Path(__file__).with_name("slow_reads.c")
_GROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))  # version 1, version 2
_PERIOD = 100_000  # microseconds
_LARGER = {"efficientnet-b1": 1.5, "efficientnet-b2": 1.7, "efficientnet-b3": 2.5, "efficientnet-b4": 4.0}
_SPIN = "while True: pass"


@dataclass(frozen=True)
class Slowdown:
    """How to start a command so that it is slow. `settings` change the job itself."""

    kind: str
    strength: float
    expected: str
    """The resource that is then the bottleneck, by the doctor's name for it."""
    environment: dict[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    nice: int = 0
    spinning: int = 0
    """The number of other processes that keep the cores busy."""
    quota: float = 0.0
    """The number of cores that the command's control group may use; 0 means no limit."""
    cores: int = 0
    """The number of cores in the command's affinity mask; 0 means all cores of this process."""


@dataclass(frozen=True)
class Base:
    """The job without a slow-down, to which strengths refer."""

    rate: float  # images per second
    file_bytes: float  # mean size of an image's file
    lanes: int  # threads that read in parallel
    cores: int
    library: Path  # the library that slows reads down


def quota(base: Base, left: float) -> Slowdown:
    """A quota of the control group: the share `left` of the cores."""
    return Slowdown("quota", left, "cpu", quota=left * base.cores)


def affinity(base: Base, left: float) -> Slowdown:
    """The share `left` of the cores in the affinity mask. The job has a thread for each, so computing is its limit."""
    return Slowdown("affinity", left, "compute", cores=max(1, round(left * base.cores)))


def others(base: Base, left: float) -> Slowdown:
    """Other programs on the same cores, and a nice value for the job: three steps halve the weight of a process."""
    spinning = max(1, round(base.cores * 0.5 / left))
    nice = max(0, min(5, round(4 * (1 - left))))
    return Slowdown("nice", left, "cpu", nice=nice, spinning=spinning)


def disk(base: Base, left: float) -> Slowdown:
    """A disk whose bandwidth suffices for the share `left` of the rate."""
    rate = left * base.rate * base.file_bytes
    return Slowdown("disk", left, "storage", _preloaded(base, SLOW_READS_BYTES=f"{rate:.0f}"))


def file_system(base: Base, left: float) -> Slowdown:
    """A file system whose reads are so slow that parallel threads reach the share `left` of the rate."""
    seconds = base.lanes / (left * base.rate)
    return Slowdown("file system", left, "storage", _preloaded(base, SLOW_READS_SECONDS=f"{seconds:.6f}"))


def model(_: Base, left: float) -> Slowdown:
    """A larger network of the family, which is slower by about the same factor for equal images."""
    name = min(_LARGER, key=lambda name: abs(_LARGER[name] - 1 / left))
    return Slowdown("larger model", left, "compute", settings=(f"model.name={name}",))


KINDS = (quota, affinity, others, disk, file_system, model)


def _preloaded(base: Base, **values: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(base.library), **values}


def compile_library(folder: Path) -> Path:
    """Compile the library that slows reads down into the folder; return its path."""
    made = folder / "slow_reads.so"
    subprocess.run(
        [which("cc") or "cc", "-O2", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl", "-lpthread"], check=True
    )
    return made


def run_slowly(command: Sequence[str], slow: Slowdown | None, environment: Mapping[str, str]) -> str:
    """Run a command with a slow-down; return its output. Raises RuntimeError if it fails."""
    slow = slow or Slowdown("none", 1.0, "")
    with ExitStack() as stack:
        start = stack.enter_context(_limited(slow.quota))
        for _ in range(slow.spinning):
            stack.enter_context(_spinning())
        stack.enter_context(_pinned(slow.cores))
        whole = {**environment, **slow.environment}
        done = subprocess.run(
            [which("nice") or "nice", f"-n{slow.nice}", *start, *command],
            env=whole,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{command[-1]} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


@contextmanager
def _pinned(cores: int) -> Iterator[None]:
    """A context in which new processes get this many cores of this process's affinity mask; 0 means all."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(own)[: cores or len(own)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


@contextmanager
def _spinning() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", _SPIN])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _limited(cores: float) -> Iterator[list[str]]:
    """A context with the start of a command that runs in a new control group with this quota; removed at the end."""
    if not cores:
        yield []
        return
    parent = next(folder for folder in _GROUPS if (folder / "cgroup.procs").exists())
    group = parent / f"headrace-trial-{os.getpid()}"
    group.mkdir()
    try:
        share = round(cores * _PERIOD)
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_quota_us").write_text(f"{share}")
        else:
            (group / "cpu.max").write_text(f"{share} {_PERIOD}")
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"]
    finally:
        group.rmdir()
