"""The nodes of a local Ray cluster as hosts that die: their processes, what these are making, and killing them all."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster


def add_host(cluster: Cluster) -> Any:
    """A further host with one CPU."""
    return cluster.add_node(num_cpus=1)


def workers(host: Any) -> list[int]:
    """The processes that do tasks there."""
    raylet = host.all_processes["raylet"][0].process.pid
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if parent_of(path) == raylet]


def parent_of(path: Path) -> int:
    """The parent of a process, by its file in /proc; 0 if it has ended."""
    try:
        return int(path.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def tar_of(process: int) -> str | None:
    """The shard whose tar the process is writing; None if it is writing none."""
    try:
        opened = [path.readlink() for path in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:
        return None
    names = [path.name for path in opened if path.suffix == ".partial"]
    return next((name.partition(".tar.")[0] for name in names if ".tar." in name), None)


def kill_at_work(cluster: Cluster, host: Any, within: float = 60) -> str:
    """Kill all processes of a host while one of them makes a shard; return the name of that shard.

    The worker is stopped first, and is seen to have its tar unfinished then, so it cannot have answered.
    """
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        for process in workers(host):
            if tar_of(process) is None:
                continue
            os.kill(process, signal.SIGSTOP)
            name = tar_of(process)
            if name is None:
                os.kill(process, signal.SIGCONT)
                continue
            cluster.remove_node(host, allow_graceful=False)
            os.kill(process, signal.SIGKILL)
            return name
    raise TimeoutError("no task was seen running on that host")


def marked(mark: str) -> list[str]:
    """The command lines of all living processes that have this text in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return [line for line in found if line]


def wait_until_gone(mark: str, within: float = 60) -> None:
    """Until no process has this text in its environment any more."""
    deadline = time.monotonic() + within
    while left := marked(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
