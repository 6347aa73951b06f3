"""Handles SIGTERM, SIGINT and SIGHUP: the first stops the run after the current step, a second one stops it at once."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

_SAME_SECONDS = 1.0  # a shell and a launcher may both pass on the same key press
_POLL_SECONDS = 0.05
_SILENT_SECONDS = 10.0  # without a beat after a signal: the process is waiting for a rank that is gone
_SILENT_INTERVALS = 3  # times the longest interval between two beats, if beats are further apart
_KNOWN_BEATS = 2  # with fewer beats the interval is unknown


class StopRequest:
    """A context that records signals. `number` is the number of the first signal, or 0 if no signal has come yet.

    While `something_to_save` is set, the first signal is only recorded; otherwise the first signal ends the process at
    once. A second signal always ends the process at once. Python runs signal handlers only between two bytecode
    instructions, so no handler runs while the process waits inside a collective. Therefore a thread, not a handler,
    ends the process at once. The interpreter writes each signal's number to a pipe; the thread reads the pipe, calls
    `at_once` and ends the process. If the rank is one of several (`among_others`), the thread also ends the process
    when `beat` is not called for a long time after a signal. Otherwise NCCL would wait for a lost rank forever.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None) -> None:
        self.number = 0
        self.something_to_save = False
        self.among_others = False
        self._beats, self._last_beat, self._longest = 0, 0.0, 0.0
        self._writes = False
        self._at_once = at_once
        self._before: dict[int, object] = {}
        self._pipe = (-1, -1)
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        if not _handles_signals():
            return self
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(self._pipe[0],), name="headrace-signals", daemon=True).start()
        for number in _asking():
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe == (-1, -1):
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._pipe[1])  # the thread reads the end of the pipe and exits

    def beat(self) -> None:
        """Record that a training step, or a batch of an evaluation, is done."""
        now = time.monotonic()
        if self._beats:
            self._longest = max(self._longest, now - self._last_beat)
        self._beats, self._last_beat = self._beats + 1, now

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Within this context, a long time without `beat` does not end the process, because a file is being written."""
        self._writes = True
        try:
            yield
        finally:
            self._writes = False
            self.beat()

    def comes_within(self, seconds: float) -> bool:
        """Return whether a signal has come already, or comes within `seconds`."""
        end = time.monotonic() + seconds
        while not self.number and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        return bool(self.number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.number = self.number or number

    def _watch(self, pipe: int) -> None:
        """Read signal numbers until the pipe is closed; end the process if a signal or a long silence requires it."""
        first, asked = 0.0, 0
        while True:
            ready, _, _ = select.select([pipe], [], [], 1.0 if first else None)
            now = time.monotonic()
            if not ready:
                if self._silent(now, first):
                    self._end(asked)
                continue
            read = os.read(pipe, 1)
            if not read:
                break
            number = read[0]
            if number not in self._before:
                continue
            if not self.something_to_save or (first and now - first > _SAME_SECONDS):
                self._end(number)
            first, asked = first or now, asked or number
        os.close(pipe)

    def _silent(self, now: float, asked_at: float) -> bool:
        """Return whether the run has made no progress for a long time after the signal to stop."""
        if not self.among_others or self._writes or self._beats < _KNOWN_BEATS:
            return False
        return now - max(asked_at, self._last_beat) > max(_SILENT_SECONDS, _SILENT_INTERVALS * self._longest)

    def _end(self, number: int) -> None:
        self._at_once()
        os._exit(exit_code(number))  # nothing may delay the exit, not even a pending collective


def _handles_signals() -> bool:
    """Return whether this thread can handle signals: only the main thread can; a framework may use another thread."""
    return threading.current_thread() is threading.main_thread()


def _asking() -> list[signal.Signals]:
    """Return the signals that stop a run: SIGTERM, SIGINT, and SIGHUP if this process does not ignore it.

    A closing terminal sends SIGHUP; `nohup` makes a process ignore SIGHUP.
    """
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hangup]


def exit_code(number: int) -> int:
    """Return the exit code that shells expect after a signal: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM."""
    return 128 + number


class StoppedError(Exception):
    """A signal stopped the run, which has saved a checkpoint. `number` is the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number
