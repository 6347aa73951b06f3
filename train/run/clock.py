"""Measures time and stall of the current epoch, including the part before a resume, and tells when a save is due."""

import time

from headrace.train.input.feed import Feed
from headrace.train.record.epoch import Reading


class EpochClock:
    """Measures an epoch with the host's clock, continuing from the `seconds` and `stalled` of an interrupted part."""

    def __init__(self, feed: Feed, seconds: float = 0.0, stalled: float = 0.0) -> None:
        self._feed = feed
        self._cpu = time.process_time()
        self._began = time.perf_counter() - seconds
        self._stalled_before = feed.stalled - stalled
        self._fetching_before = feed.fetching

    def read(self) -> Reading:
        """Return the duration of the epoch so far, the time stalled, and the stall while shards were being fetched."""
        stalled = self._feed.stalled - self._stalled_before
        fetching = min(stalled, self._feed.fetching - self._fetching_before)
        return Reading(time.perf_counter() - self._began, stalled, fetching)

    @property
    def cpu_seconds(self) -> float:
        """The CPU time in seconds of this process since the epoch began or was resumed, for step and input together."""
        return time.process_time() - self._cpu


class Interval:
    """Tells whether `minutes` have passed since the last start; if `minutes` is None, they never have."""

    def __init__(self, minutes: float | None) -> None:
        self._seconds = None if minutes is None else 60 * minutes
        self.start()

    def start(self) -> None:
        """Start counting the minutes again from now."""
        self._began = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the minutes have passed since the last start; never true if `minutes` is None."""
        return self._seconds is not None and time.monotonic() - self._began >= self._seconds
