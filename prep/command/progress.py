"""Shows the progress of a long command: as a bar on a terminal, as plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from tqdm import tqdm

_LINE_SECONDS = 5.0
Say = Callable[[str], None]  # prints a line for the user


class Progress(Protocol):
    """A function that is called with the number of units finished so far; a unit is, for example, an image."""

    def __call__(self, done: int) -> None:
        """Show that `done` units are finished so far."""
        ...


@contextmanager
def progress(total: int, what: str, unit: str = "images", stream: TextIO | None = None) -> Iterator[Progress]:
    """A context that shows the progress towards `total` units on `stream`, by default on standard error."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _Lines(total, what, unit, stream)
        return
    tqdm.monitor_interval = 0  # no extra thread
    with tqdm(total=total, desc=what, unit=f" {unit}", file=stream, smoothing=0.1) as bar:
        yield lambda done: bar.update(done - bar.n) and None


class _Lines:
    """Prints a line about the progress every few seconds, for output that is not a terminal."""

    def __init__(self, total: int, what: str, unit: str, stream: TextIO) -> None:
        self._total, self._what, self._unit, self._stream = total, what, unit, stream
        self._began = self._printed = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._printed < _LINE_SECONDS or not done:
            return
        self._printed = now
        rate = done / (now - self._began)
        left = (self._total - done) / rate
        print(
            f"{self._what}: {done:,} of {self._total:,} {self._unit}, {rate:,.0f} {self._unit}/s, {left:.0f} s left",
            file=self._stream,
            flush=True,
        )
