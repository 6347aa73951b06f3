"""Contenders that stay alive and take turns: each starts once, and stands still while another is measured.

A contender is a process group. It reads `go` and a number of seconds from its standard input, and answers with a line
of JSON; between two answers the whole group is stopped by SIGSTOP, so that no prefetching thread or worker of one
contender takes time from another.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 240  # seconds without an answer, after which a contender counts as failed


class ContenderError(Exception):
    """A contender that ended or fell silent; the text is the last that it said."""


class Turn:
    """The parent's side of one contender."""

    def __init__(self, command: Sequence[str]) -> None:
        self.began = time.time()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )
        self._seen = b""

    def answer(self) -> dict[str, Any]:
        """The next line of JSON; the group stands still afterwards."""
        stream = self._process.stdout
        limit = time.monotonic() + PATIENCE
        while stream is not None:
            line, newline, rest = self._seen.partition(b"\n")
            if newline:
                self._seen = rest
                if line.startswith(b'{"'):  # anything else is a library's chatter
                    self._signal(signal.SIGSTOP)
                    found: dict[str, Any] = json.loads(line)
                    return found
                continue
            ready, _, _ = select.select([stream], [], [], max(0.0, limit - time.monotonic()))
            more = os.read(stream.fileno(), 1 << 16) if ready else b""
            if not more:
                break
            self._seen += more
        raise ContenderError(self._last_words())

    def go(self, seconds: float) -> dict[str, Any]:
        """Let the contender run for some seconds."""
        self._signal(signal.SIGCONT)
        if self._process.stdin is not None:
            self._process.stdin.write(f"go {seconds}\n".encode())
            self._process.stdin.flush()
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
        if self._process.poll() is None:
            return f"no batch within {PATIENCE} s"
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else f"ended with status {self._process.returncode}"


def orders() -> Iterator[float]:
    """The contender's side: the seconds of each turn that the parent gives."""
    for line in sys.stdin:
        yield float(line.split()[1])


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
