"""Writes the description of a run to run.json at the start, and a row about the end of the run to metrics.jsonl."""

from headrace.train.record.about import About
from headrace.train.record.callback import Callback
from headrace.train.record.folder import RunLog
from headrace.train.record.moments import End, Start


class Ledger(Callback):
    """A callback that writes run.json at the start of a run, and a row of metrics.jsonl at its end."""

    def __init__(self, log: RunLog) -> None:
        self._log = log

    def on_start(self, start: Start) -> None:
        """Write run.json to the run folder."""
        About.of(start, About.read(start.folder)).write(start.folder)

    def on_end(self, end: End) -> None:
        """Write a row of metrics.jsonl that tells how the run ended, for good or until it is resumed."""
        self._log.ended(end)
