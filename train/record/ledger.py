"""What a run folder says of the run itself: run.json at its start, and how each part of it ended in metrics.jsonl."""

from headrace.train.record.about import About
from headrace.train.record.callback import Callback
from headrace.train.record.folder import RunLog
from headrace.train.record.moments import End, Start


class Ledger(Callback):
    """Writes them."""

    def __init__(self, log: RunLog) -> None:
        self._log = log

    def on_start(self, start: Start) -> None:
        """What the run is."""
        About.of(start, About.read(start.folder)).write(start.folder)

    def on_end(self, end: End) -> None:
        """How this part of it ended."""
        self._log.ended(end)
