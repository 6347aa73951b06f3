"""Lets contenders take turns: each starts once, and is stopped while another one is measured.

A contender is a process group. It reads `go` and a number of seconds from its standard input, and answers with a line
of JSON. Between two answers the whole group is stopped with SIGSTOP, so that prefetching threads and workers of one
contender take no time from another.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness.paths import ROOT
from benchmarks.harness.processes import ENVIRONMENT, Run
from benchmarks.harness.stopwatch import time_steps

PATIENCE = 240  # seconds without an answer, after which a contender counts as failed


class ContenderError(Exception):
    """A contender ended or did not answer; the message is the last line of its output."""


class Turn:
    """One contender, seen from the parent process."""

    def __init__(self, command: Sequence[str]) -> None:
        self.began = time.time()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the process runs
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self._unread = b""

    def answer(self) -> Run:
        """Wait for the next line of JSON, then stop the group; return the parsed line."""
        stream = self._process.stdout
        limit = time.monotonic() + PATIENCE
        while stream is not None:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                if line.startswith(b'{"'):  # other lines are messages of libraries
                    self._signal(signal.SIGSTOP)
                    answer: Run = json.loads(line)
                    return answer
                continue
            ready, _, _ = select.select([stream], [], [], max(0.0, limit - time.monotonic()))
            if not ready:
                raise ContenderError(f"no batch within {PATIENCE} s")
            more = os.read(stream.fileno(), 1 << 16)
            if not more:
                break
            self._unread += more
        raise ContenderError(self._last_words())

    def go(self, seconds: float) -> Run:
        """Let the contender run for some seconds; return its answer."""
        self._signal(signal.SIGCONT)
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(f"go {seconds}\n".encode())
                self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ContenderError(self._last_words()) from error
        return self.answer()

    def end(self) -> None:
        """End the contender and its workers."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._errors.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _last_words(self) -> str:
        """The last line on standard error of a contender whose output has ended."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "closed its output but did not end"
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else f"ended with status {self._process.returncode}"


def contest(
    commands: Mapping[str, Sequence[str]], repeats: int, seconds: float, failed: dict[str, str]
) -> tuple[dict[str, list[Run]], dict[str, float]]:
    """Let contenders run in turns; return the runs of each, and its seconds from start to ready.

    Contenders that fail are omitted from both; the last line of their output is added to `failed`.
    """
    turns: dict[str, Turn] = {}
    starts: dict[str, float] = {}
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    try:
        for name, command in commands.items():
            turns[name] = Turn(command)
            if (ready := attempt(name, turns[name].answer, failed)) is not None:
                starts[name] = ready["ready_at"] - turns[name].began
        for name in [*commands] * repeats:
            if name not in failed and (run := attempt(name, partial(turns[name].go, seconds), failed)) is not None:
                runs[name].append(run)
                print(f"{name}: {run}", file=sys.stderr, flush=True)
    finally:
        for turn in turns.values():
            turn.end()
    return {name: own for name, own in runs.items() if name not in failed}, starts


def attempt(name: str, step: Callable[[], Run], failed: dict[str, str]) -> Run | None:
    """The answer of a contender; None if it failed, in which case the error is added to `failed`."""
    try:
        return step()
    except ContenderError as error:
        failed[name] = f"failed: {error}"
        print(f"{name} {failed[name]}", file=sys.stderr, flush=True)
        return None


def contend(step: Callable[[], int], ready_at: float, at_least: int) -> None:
    """Run in the contender's process: report when it was ready, then run in turns until the parent ends it.

    `step` returns the number of its images. A turn lasts the seconds that the parent gives, and at least `at_least`
    steps. The first step of a turn does not count, because caches are cold.
    """
    tell(ready_at=ready_at)
    for line in sys.stdin:
        seconds = float(line.split()[1])
        step()
        run = time_steps(step, seconds, at_least, group_cpu_seconds)
        ctypes.CDLL(None).malloc_trim(0)  # many contenders wait at a time, and one may hold gigabytes that it has freed
        tell(**run)


def tell(**answer: float) -> None:
    """Print a line for the parent, in the contender's process."""
    print("\n" + json.dumps(answer), flush=True)  # on a new line, because a library may have begun one


def group_cpu_seconds() -> float:
    """The CPU seconds of this process's group, including processes that have ended."""
    group, ticks = os.getpgrp(), 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(words[2]) == group:
            ticks += sum(map(int, words[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
