"""Measures the duration and the stall (waiting for data) of an epoch, and tells when the next save is due."""

import time

from headrace.train.input.feed import Feed
from headrace.train.record.epoch import Reading


class EpochClock:
    """Measures how long an epoch takes and how long its steps wait for data, in seconds of the host's clock.

    If a run is resumed within an epoch, `seconds` and `stalled` are the measurements of the part before the resume.
    """

    def __init__(self, feed: Feed, seconds: float = 0.0, stalled: float = 0.0) -> None:
        self._feed = feed
        self._cpu = time.process_time()
        self._began = time.perf_counter() - seconds
        self._stalled_before = feed.stalled - stalled
        self._fetching_before = feed.fetching

    def read(self) -> Reading:
        """Return the epoch's seconds so far: in total, spent waiting for data, and at most spent waiting for shards."""
        stalled = self._feed.stalled - self._stalled_before
        fetching = min(stalled, self._feed.fetching - self._fetching_before)
        return Reading(time.perf_counter() - self._began, stalled, fetching)

    @property
    def cpu_seconds(self) -> float:
        """The CPU time in seconds of this process since the epoch began or was resumed, for step and input together."""
        return time.process_time() - self._cpu


class Interval:
    """Tells whether `minutes` have passed since `start` was last called; if `minutes` is None, `over` is never true."""

    def __init__(self, minutes: float | None) -> None:
        self._seconds = None if minutes is None else 60 * minutes
        self.start()

    def start(self) -> None:
        """Start counting the minutes from zero."""
        self._began = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the minutes have passed since the last call of `start`; always False if `minutes` is None."""
        return self._seconds is not None and time.monotonic() - self._began >= self._seconds
