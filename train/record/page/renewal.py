"""Writes the web page of a run again after each epoch, in a thread beside training."""

import time
from pathlib import Path

from headrace.shards import store
from headrace.shards.shardset import ShardSet
from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochReport
from headrace.train.record.moments import End, Start
from headrace.train.record.page.facts import FactsReader
from headrace.train.record.page.pictures import write_mistakes
from headrace.train.record.page.render import NAME, render_run

_SHARE = 0.1  # largest share of the time; a page can take longer than a short epoch


class PageRenewal(Callback):
    """Writes RUN/report.html at the start, after each epoch and at the end, with the pictures of mistakes.

    After a short epoch the page is not written if that would take more than a tenth of the time since the last page.
    """

    def __init__(self, shards: ShardSet) -> None:
        self._shards = shards
        self._pictured = ""  # the checkpoint whose mistakes the pictures show
        self._folder = Path()
        self._reader = FactsReader(self._folder)
        self._not_before = 0.0

    def on_start(self, start: Start) -> None:
        """Write the page with the facts known at the start of the run."""
        self._folder, self._reader = start.folder, FactsReader(start.folder)
        self._renew()

    def on_epoch(self, _: EpochReport) -> None:
        """Write the page again with the finished epoch; do nothing if the page was written too recently."""
        if time.monotonic() >= self._not_before:
            self._renew()

    def on_end(self, _: End) -> None:
        """Write the page of the whole run."""
        self._renew()

    def _renew(self) -> None:
        began = time.monotonic()
        facts = self._reader.read()
        found = facts.predictions
        if found is not None and found.origin.checkpoint != self._pictured:
            write_mistakes(self._folder, found, self._shards)
            self._pictured = found.origin.checkpoint
            facts = self._reader.read()
        page = self._folder / NAME
        store.write_bytes(page, render_run(facts, page))
        ended = time.monotonic()
        self._not_before = ended + (ended - began) * (1 / _SHARE - 1)
