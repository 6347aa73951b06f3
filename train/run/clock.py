"""Seconds and stall of the current epoch, also across a stop and a resume in its middle; when a save is due."""

import time

from headrace.train.input.feed import Feed
from headrace.train.record.epoch import Reading


class EpochClock:
    """Starts where an interrupted epoch left off. Reads the host's clock only."""

    def __init__(self, feed: Feed, seconds: float = 0.0, stalled: float = 0.0) -> None:
        self._feed = feed
        self._cpu = time.process_time()
        self._began = time.perf_counter() - seconds
        self._stalled_before = feed.stalled - stalled

    def read(self) -> Reading:
        """The epoch so far."""
        return Reading(time.perf_counter() - self._began, self._feed.stalled - self._stalled_before)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of this process since the epoch began or was resumed: that of the step and of its input."""
        return time.process_time() - self._cpu


class Interval:
    """Whether so many minutes have passed since the last start. With None they never have."""

    def __init__(self, minutes: float | None) -> None:
        self._seconds = None if minutes is None else 60 * minutes
        self.start()

    def start(self) -> None:
        """Count from now."""
        self._began = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether they have passed."""
        return self._seconds is not None and time.monotonic() - self._began >= self._seconds
