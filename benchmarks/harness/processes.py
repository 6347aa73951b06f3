"""Measures in fresh processes, and lets contenders alternate within every repetition."""

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
"""The figures of one repetition by name: `images_per_second`, `cpu_microseconds` (per image) or seconds of a part."""
ENVIRONMENT = dict(os.environ)
"""The environment in which every contender starts: that of the user, before Headrace changes this process."""


def child(file: str, function: str, *arguments: object) -> list[str]:
    """The command that calls a function of the module in `file` in a process of its own; see child.py."""
    return [sys.executable, *child_module(file, function, *arguments)]


def child_module(file: str, function: str, *arguments: object) -> list[str]:
    """The same command without the interpreter, for torchrun."""
    plain = [str(argument) if isinstance(argument, Path) else argument for argument in arguments]
    return ["-m", "benchmarks.harness.child", module_of(file), function, json.dumps(plain)]


def call_apart(file: str, function: str, *arguments: object, **environment: str) -> Any:
    """Call a function of the module in `file` in a fresh process with additional environment; return its result."""
    return last_answer(child(file, function, *arguments), **environment)


def last_answer(command: Sequence[str], **environment: str) -> Any:
    """Run a command; return the last line of its output, parsed as JSON. Raises CalledProcessError if it fails."""
    done = subprocess.run(
        command, cwd=ROOT, env={**ENVIRONMENT, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def interleave(contenders: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    """The runs of each contender. Contenders alternate within each repetition, so that load affects all of them."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, measure in contenders.items():
            runs[name].append(measure())
            print(f"{name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    return runs


def time_command(command: Sequence[str], environment: Mapping[str, str] | None = None, *, status: int = 0) -> Run:
    """The seconds that a command takes, and its CPU seconds, including those of processes that it waited for.

    `environment` is added to that of the contenders. Raises RuntimeError if the command does not end with `status`.
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
