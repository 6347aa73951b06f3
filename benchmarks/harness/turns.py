"""Contenders that stay alive and take turns: each starts once, and stands still while another is measured.

A contender is a process group. It reads `go` and a number of seconds from its standard input, and answers with a line
of JSON; between two answers the whole group is stopped by SIGSTOP, so that no prefetching thread or worker of one
contender takes time from another.
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
    """A contender that ended or fell silent; the text is the last that it said."""


class Turn:
    """The parent's side of one contender."""

    def __init__(self, command: Sequence[str]) -> None:
        self.began = time.time()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
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
        """The next line of JSON; the group stands still afterwards."""
        stream = self._process.stdout
        limit = time.monotonic() + PATIENCE
        while stream is not None:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                if line.startswith(b'{"'):  # anything else is a library's chatter
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
        """Let the contender run for some seconds."""
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
        """Of a contender whose output has ended."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "closed its output and went on"
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else f"ended with status {self._process.returncode}"


def contest(
    commands: Mapping[str, Sequence[str]], repeats: int, seconds: float, failed: dict[str, str]
) -> tuple[dict[str, list[Run]], dict[str, float]]:
    """Every contender's runs, and its seconds from start to ready, in turns.

    Those that fail are left out of both, and what they said last is added to `failed`.
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
    """An answer; None when the contender failed, and then `failed` says how."""
    try:
        return step()
    except ContenderError as error:
        failed[name] = f"failed: {error}"
        print(f"{name} {failed[name]}", file=sys.stderr, flush=True)
        return None


def contend(step: Callable[[], int], ready_at: float, at_least: int) -> None:
    """The contender's side: say when it was ready, then run in turns until the parent ends it.

    `step` returns the images that it handled; a turn lasts the seconds that the parent gives and `at_least` steps.
    The first step of a turn does not count: caches are cold.
    """
    tell(ready_at=ready_at)
    for line in sys.stdin:
        seconds = float(line.split()[1])
        step()
        run = time_steps(step, seconds, at_least, group_cpu_seconds)
        ctypes.CDLL(None).malloc_trim(0)  # many stand still at a time, and one alone may have freed gigabytes
        tell(**run)


def tell(**answer: float) -> None:
    """The contender's side: a line for the parent."""
    print("\n" + json.dumps(answer), flush=True)  # a new line, should a library have left one unfinished


def group_cpu_seconds() -> float:
    """CPU time of this process's group, those that have ended included."""
    group, ticks = os.getpgrp(), 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(words[2]) == group:
            ticks += sum(map(int, words[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
