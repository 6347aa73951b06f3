"""What a run shows while it goes on: lines, lines with a bar on a terminal, JSON, or next to nothing."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO

from headrace.shards import streams
from headrace.train.record.ahead import Ahead
from headrace.train.record.bar import EpochBar

WARNING = "warning: "
Show = Literal["lines", "quiet", "json"]
_log = logging.getLogger("headrace")
_log.addHandler(logging.NullHandler())  # what nobody listens to is not printed a second time


class Console:
    """Lines for people, on standard output. All of them also go to the logger "headrace"."""

    def say(self, line: str) -> None:
        """A line; one that begins with "warning: " is one."""
        _tell(line)
        streams.say(line)

    def say_part(self, line: str) -> None:
        """A line about how far the epoch is; not where that is seen anyway."""
        self.say(line)

    def say_figures(self, line: str) -> None:
        """A line whose figures are also a row."""
        self.say(line)

    def show_row(self, row: dict[str, Any]) -> None:
        """A row of metrics.jsonl, for those who read rows."""

    def begin_epoch(self, ahead: Ahead) -> None:
        """Tell that an epoch's steps begin."""

    def advance(self) -> None:
        """Tell that a step is done. Called after each, so it takes next to no time."""

    def show_loss(self, loss: float) -> None:
        """Tell the loss of the last steps."""

    def evaluate(self) -> None:
        """Tell that the steps of the epoch are done, and it is evaluated."""

    def clear(self) -> None:
        """Leave nothing behind but lines: the epoch is over, or the run."""

    def clear_at_once(self) -> None:
        """The same from another thread, a moment before the process ends."""


class Quiet(Console):
    """Warnings alone, on standard error."""

    def say(self, line: str) -> None:
        """Print the line if it is a warning."""
        _tell(line)
        if line.startswith(WARNING):
            streams.say(f"headrace: {line}", error=True)


class JsonLines(Console):
    """Rows of metrics.jsonl on standard output, one a line, and lines as rows of kind "line"."""

    def say(self, line: str) -> None:
        """Print the line as a row; a warning has a row of its own."""
        _tell(line)
        if not line.startswith(WARNING):
            self.show_row({"kind": "line", "text": line})

    def say_part(self, line: str) -> None:
        """Nothing: rows of steps say it."""
        _tell(line)

    def say_figures(self, line: str) -> None:
        """Nothing: there is a row with them."""
        _tell(line)

    def show_row(self, row: dict[str, Any]) -> None:
        """Print it."""
        streams.say(json.dumps(row, allow_nan=False))


class Terminal(Console):
    """Lines, and below them a bar for the epoch on `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: EpochBar | None = None
        self._evaluation = 0.0  # seconds of the last one

    def say(self, line: str) -> None:
        """Print the line above the bar."""
        if self._bar is None:
            super().say(line)
            return
        with EpochBar.external_write_mode(file=sys.stdout):
            super().say(line)

    def say_part(self, line: str) -> None:
        """Nothing: the bar says it."""
        _tell(line)

    def begin_epoch(self, ahead: Ahead) -> None:
        """Begin a bar."""
        self.clear()
        self._bar = EpochBar(ahead, self._evaluation, self._stream)

    def advance(self) -> None:
        """Move it."""
        if self._bar is not None:
            self._bar.update()

    def show_loss(self, loss: float) -> None:
        """Have it show the loss."""
        if self._bar is not None:
            self._bar.loss = loss

    def evaluate(self) -> None:
        """Have it say so."""
        if self._bar is not None:
            self._bar.evaluate()

    def clear(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._evaluation = self._bar.evaluated_for()
            self._bar.close()
            self._bar = None

    def clear_at_once(self) -> None:
        """Remove what is seen of it, without waiting for whoever draws."""
        if self._bar is not None:
            os.write(self._stream.fileno(), b"\r\x1b[K")


def console_of(show: Show) -> Console:
    """The console that was asked for; lines come with a bar where standard error is a terminal that can move back."""
    if show == "quiet":
        return Quiet()
    if show == "json":
        return JsonLines()
    movable = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Terminal(sys.stderr) if movable else Console()


@contextmanager
def cleared(console: Console) -> Iterator[None]:
    """Nothing but lines is left of it when the block ends, also by an error, whose own line then comes next."""
    try:
        yield
    finally:
        console.clear()


def _tell(line: str) -> None:
    """The line for the logger, whose handlers know warnings by their level."""
    if line.startswith(WARNING):
        _log.warning("%s", line.removeprefix(WARNING))
    else:
        _log.info("%s", line)
