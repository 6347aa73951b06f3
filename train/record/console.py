"""Shows a run during training: as lines, as lines with a progress bar on a terminal, as JSON, or only warnings."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO

from headrace.shards import streams
from headrace.train.record.ahead import Ahead
from headrace.train.record.bar import EpochBar, staging_bar

WARNING = "warning: "
_LINE_SECONDS = 5.0  # between lines about staging
Show = Literal["lines", "quiet", "json"]
_log = logging.getLogger("headrace")
_log.addHandler(logging.NullHandler())  # without listeners nothing is printed twice


class Console:
    """Prints lines for people on standard output, and passes every line to the logger "headrace" too."""

    _staged = 0.0  # when the last line about staging was printed

    def say(self, line: str) -> None:
        """Print a line. A line that begins with "warning: " is a warning."""
        _tell(line)
        streams.say(line)

    def say_part(self, line: str) -> None:
        """Print a line about the progress of the epoch, unless the console shows the progress in another way."""
        self.say(line)

    def say_figures(self, line: str) -> None:
        """Print a line whose figures are also in a row of metrics.jsonl."""
        self.say(line)

    def show_row(self, row: dict[str, Any]) -> None:
        """Print a row of metrics.jsonl if this console shows rows; by default, do nothing."""

    def show_staged(self, here: int, total: int, rate: float) -> None:
        """Print the progress of staging as a line, at most every 5 s; `rate` is in bytes a second."""
        if (now := time.monotonic()) > self._staged + _LINE_SECONDS and rate > 0:
            self._staged = now
            left = f"{rate / 1e6:.0f} MB/s, {(total - here) / rate:.0f} s left"
            self.say(f"stage    {here / 1e9:.2f} of {total / 1e9:.2f} GB, {left}")

    def begin_epoch(self, ahead: Ahead) -> None:
        """Called when the steps of an epoch begin."""

    def advance(self) -> None:
        """Called after every step, so it must be fast."""

    def show_loss(self, loss: float) -> None:
        """Called with the loss of the last steps."""

    def evaluate(self) -> None:
        """Called when the steps of the epoch are done and its evaluation begins."""

    def clear(self) -> None:
        """Remove progress bars, so that only lines remain, at the end of an epoch or of the run."""

    def clear_at_once(self) -> None:
        """Remove progress bars just before the process ends; may be called in any thread."""


class Quiet(Console):
    """Prints only warnings, on standard error."""

    def say(self, line: str) -> None:
        """Print the line if it is a warning."""
        _tell(line)
        if line.startswith(WARNING):
            streams.say(f"headrace: {line}", error=True)


class JsonLines(Console):
    """Prints the rows of metrics.jsonl on standard output, one on each line; other lines become rows of kind "line"."""

    def say(self, line: str) -> None:
        """Print the line as a row of kind "line", unless it is a warning, which has a row of its own."""
        _tell(line)
        if not line.startswith(WARNING):
            self.show_row({"kind": "line", "text": line})

    def say_part(self, line: str) -> None:
        """Print nothing, because the rows of steps show the progress of the epoch."""
        _tell(line)

    def say_figures(self, line: str) -> None:
        """Print nothing, because a row of metrics.jsonl has the same figures."""
        _tell(line)

    def show_row(self, row: dict[str, Any]) -> None:
        """Print the row as a line of JSON."""
        streams.say(json.dumps(row, allow_nan=False))


class Terminal(Console):
    """Prints lines, and draws a progress bar of the epoch below them on `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: EpochBar | None = None
        self._evaluation = 0.0  # seconds of the last one
        self._staging: Any = None

    def say(self, line: str) -> None:
        """Print the line above the progress bar."""
        if self._bar is None:
            super().say(line)
            return
        with EpochBar.external_write_mode(file=sys.stdout):
            super().say(line)

    def say_part(self, line: str) -> None:
        """Print nothing, because the progress bar shows the progress of the epoch."""
        _tell(line)

    def show_staged(self, here: int, total: int, rate: float) -> None:  # noqa: ARG002  the bar has its own
        """Advance the progress bar of staging to `here` bytes of `total`."""
        if self._staging is None:
            self._staging = staging_bar(here, total, self._stream)
        self._staging.update(here - self._staging.n)

    def begin_epoch(self, ahead: Ahead) -> None:
        """Replace any progress bar by a new one for the epoch."""
        self.clear()
        self._bar = EpochBar(ahead, self._evaluation, self._stream)

    def advance(self) -> None:
        """Advance the progress bar by one step."""
        if self._bar is not None:
            self._bar.update()

    def show_loss(self, loss: float) -> None:
        """Show the loss in the progress bar."""
        if self._bar is not None:
            self._bar.loss = loss

    def evaluate(self) -> None:
        """Show in the progress bar that the evaluation has begun."""
        if self._bar is not None:
            self._bar.evaluate()

    def clear(self) -> None:
        """Remove the progress bars."""
        if self._staging is not None:
            self._staging.close()
            self._staging = None
        if self._bar is not None:
            self._evaluation = self._bar.evaluated_for()
            self._bar.close()
            self._bar = None

    def clear_at_once(self) -> None:
        """Erase the progress bar without waiting for a thread that may be drawing it."""
        if self._bar is not None or self._staging is not None:
            os.write(self._stream.fileno(), b"\r\x1b[K")


def console_of(show: Show) -> Console:
    """Return the console for `show`; "lines" shows a progress bar if standard error is a terminal with a cursor."""
    if show == "quiet":
        return Quiet()
    if show == "json":
        return JsonLines()
    movable = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Terminal(sys.stderr) if movable else Console()


@contextmanager
def cleared(console: Console) -> Iterator[None]:
    """Remove progress bars at the end of this context, even after an error, whose message is printed next."""
    try:
        yield
    finally:
        console.clear()


def _tell(line: str) -> None:
    """Pass the line to the logger "headrace": a warning at level WARNING, any other line at level INFO."""
    if line.startswith(WARNING):
        _log.warning("%s", line.removeprefix(WARNING))
    else:
        _log.info("%s", line)
