"""Records the description of a run in run.json at its start, and in metrics.jsonl how each part of the run ended."""

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
        """Write a row of metrics.jsonl that tells how this part of the run ended."""
        self._log.ended(end)
