"""SIGTERM and SIGINT ask the run to stop at the next step; a second one stops it at once."""

import os
import signal
import time
from types import FrameType, TracebackType
from typing import Self

_SAME_SECONDS = 1.0  # a shell and a launcher may both pass one key press on


class StopRequest:
    """A context in which signals are noted. `number` is the first signal that came, 0 before."""

    def __init__(self) -> None:
        self.number = 0
        self._noted = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number and now - self._noted > _SAME_SECONDS:
            os._exit(exit_code(number))  # asked twice: nothing may hold it up, not even a pending collective
        if not self.number:
            self.number, self._noted = number, now


def exit_code(number: int) -> int:
    """What a shell expects of a process that ended because of this signal: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + number


class StoppedError(Exception):
    """The run stopped as asked, after saving. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number
