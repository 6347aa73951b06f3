"""The processes of a prep: what they hold on the machine, and what happens when one or all of them die."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.prep.test_commands import start, wait_for_shards

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def large(tmp_path: Path, tiny_zip: Path) -> list[object]:
    """The arguments of a prep that takes over a second: one shard for each of 600 samples."""
    return ["prep", tiny_zip, tmp_path / "out", "--samples-per-shard", 1, "--workers", 2]


def running(process: subprocess.Popen[bytes]) -> dict[int, str]:
    """The processes in the group of the command, with their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == process.pid:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ProcessLookupError):
            continue  # it ended meanwhile
    return found


def shared(pid: int) -> set[Path]:
    """The named pieces of shared memory that a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {Path(line.split()[-1]) for line in lines if "/dev/shm/" in line}  # noqa: S108


def test_group_that_is_killed_leaves_nothing_in_shared_memory(large: list[object], tmp_path: Path) -> None:
    """SIGKILL of the command and all its workers leaves no semaphore or shared memory on the machine."""
    process = start(*large)
    wait_for_shards(tmp_path / "out", 3)
    os.killpg(process.pid, signal.SIGSTOP)
    group = running(process)
    assert len(group) >= 3, "a parent and two workers"
    names = {name for pid in group for name in shared(pid)}
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert [name for name in names if name.exists()] == []


def test_worker_that_is_killed_ends_the_run(large: list[object], tmp_path: Path) -> None:
    """A killed worker ends the run with one line and exit code 1, and no process stays."""
    process = start(*large)
    wait_for_shards(tmp_path / "out", 3)
    workers = [pid for pid, command in running(process).items() if "spawn_main" in command]
    os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, len(workers)) == (1, 2)
    assert b"a worker process died" in errors.splitlines()[-1]
    assert b"Traceback" not in errors
    deadline = time.monotonic() + 30
    while running(process):
        assert time.monotonic() < deadline
        time.sleep(0.01)
