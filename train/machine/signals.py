"""SIGTERM, SIGINT and SIGHUP ask the run to stop at the next step; a second one stops it at once."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

_SAME_SECONDS = 1.0  # a shell and a launcher may both pass one key press on
_POLL_SECONDS = 0.05
_SILENT_SECONDS = 10.0  # after a signal, without a beat: the process waits for a rank that is gone
_SILENT_INTERVALS = 3  # of the longest time between two beats, where these are further apart
_KNOWN_BEATS = 2  # before which nobody knows how far apart they are


class StopRequest:
    """A context in which signals are noted. `number` is the first signal that came, 0 before.

    The first is only noted while there is `something_to_save`; else it ends the process at once, as the second does.
    Python runs handlers between two of its own instructions, so never while the process waits inside a collective.
    What must not wait goes another way: the interpreter writes each signal's number to a pipe at once, and a thread
    that reads it calls `at_once` and ends the process. It also ends one of several ranks, `among_others`, that makes no
    `beat` any more after a signal: NCCL waits for a rank that is gone for as long as nobody ends the process.
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
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._pipe[1])  # the thread reads the end of the pipe, and ends

    def beat(self) -> None:
        """The run got on by a step, or by a batch of an evaluation."""
        now = time.monotonic()
        if self._beats:
            self._longest = max(self._longest, now - self._last_beat)
        self._beats, self._last_beat = self._beats + 1, now

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, silence does not end the process: a file would be left in its middle."""
        self._writes = True
        try:
            yield
        finally:
            self._writes = False
            self.beat()

    def comes_within(self, seconds: float) -> bool:
        """Whether a signal came already, or comes within so many seconds."""
        end = time.monotonic() + seconds
        while not self.number and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        return bool(self.number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.number = self.number or number

    def _watch(self, pipe: int) -> None:
        """Read signal numbers until the pipe is closed, and end the process where it should not wait."""
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
        """Whether the run makes no progress any more, long after it was asked to stop."""
        if not self.among_others or self._writes or self._beats < _KNOWN_BEATS:
            return False
        return now - max(asked_at, self._last_beat) > max(_SILENT_SECONDS, _SILENT_INTERVALS * self._longest)

    def _end(self, number: int) -> None:
        self._at_once()
        os._exit(exit_code(number))  # nothing may hold it up, not even a pending collective


def _asking() -> list[signal.Signals]:
    """The signals that ask to stop; SIGHUP, which a closing terminal sends, only if `nohup` did not have it ignored."""
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hangup]


def exit_code(number: int) -> int:
    """What a shell expects of a process ended by this signal: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM."""
    return 128 + number


class StoppedError(Exception):
    """The run stopped as asked, after saving. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number
