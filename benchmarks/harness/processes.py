"""Measurements in fresh processes, the contenders one after another in every repetition."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.paths import ROOT, module_of

Run = dict[str, float]
"""What one repetition measured, by name: `images_per_second`, `cpu_microseconds` (an image) or seconds of a part."""
ENVIRONMENT = dict(os.environ)
"""What every contender starts with: as the user has it, before a module of ours sets anything in this process."""


def child(file: str, function: str, *arguments: object) -> list[str]:
    """The command that runs a function of the module in `file` in a process of its own; see child.py."""
    return [sys.executable, *child_module(file, function, *arguments)]


def child_module(file: str, function: str, *arguments: object) -> list[str]:
    """The same, without the interpreter: what torchrun is given."""
    plain = [str(argument) if isinstance(argument, Path) else argument for argument in arguments]
    return ["-m", "benchmarks.harness.child", module_of(file), function, json.dumps(plain)]


def call_apart(file: str, function: str, *arguments: object, **environment: str) -> Any:
    """What a function of the module in `file` returns in a fresh process, with more environment."""
    return last_answer(child(file, function, *arguments), **environment)


def last_answer(command: Sequence[str], **environment: str) -> Any:
    """The last line that a command prints, as JSON. CalledProcessError where the command fails."""
    done = subprocess.run(
        command, cwd=ROOT, env={**ENVIRONMENT, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def interleave(contenders: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    """The runs of each contender, one after another in every repetition, so that load meets all alike."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, measure in contenders.items():
            runs[name].append(measure())
            print(f"{name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    return runs


def time_command(command: Sequence[str], environment: Mapping[str, str] | None = None, *, status: int = 0) -> Run:
    """Seconds of a whole command with more environment, and CPU seconds of it and the processes that it waited for.

    RuntimeError if it ends with another status.
    """
    began = time.perf_counter()
    more, quiet = {**ENVIRONMENT, **(environment or {})}, subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=more, stdout=quiet, stderr=quiet)
    _, waited, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(waited)
    if process.returncode != status:
        raise RuntimeError(f"`{' '.join(command)}` ended with {process.returncode}")
    return {"seconds": wall, "cpu_seconds": usage.ru_utime + usage.ru_stime}
