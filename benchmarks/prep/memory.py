"""Measures the memory of `headrace prep`: the peaks of its processes, which the kernel records."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness.paths import ROOT
from benchmarks.harness.tables import Row


def peak(process: int) -> int:
    """The peak resident bytes of a process so far; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def family(process: int) -> list[int]:
    """The ids of a process and its children."""
    try:
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        return [process, *(int(child) for task in tasks for child in task.read_text("ascii").split())]
    except OSError:
        return [process]


def watch_prep(source: Path, out: Path) -> Row:
    """Run `headrace prep` with its defaults; return its seconds and the peaks of its processes."""
    command = [sys.executable, "-m", "headrace", "prep", str(source), str(out)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for member in family(process.pid):
            peaks[member] = peak(member) or peaks.get(member, 0)  # not the maximum: before exec it is the parent's
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"prep of {source.name} ended with {process.returncode}")
    workers = [value for member, value in peaks.items() if member != process.pid]
    return {
        "prep s": round(time.perf_counter() - began, 1),
        "main process MB": round(peaks[process.pid] / 1e6),
        "largest worker MB": round(max(workers, default=0) / 1e6),
        "all processes MB": round(sum(peaks.values()) / 1e6),
    }
