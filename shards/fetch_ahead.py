"""Tars fetched ahead of a run by a few threads: those of the current window first, then those of the next two."""

import threading
import time
from collections.abc import Callable, Iterable

from headrace.shards.next_use import NextUse

AHEAD = 2
"""Windows beyond the current one that are fetched: enough for storage that hesitates, and little of the disk."""
_WAIT_SECONDS = 0.2  # between tries by one thread for all, once there was no room: each looks through the stage

Fetch = Callable[[int, int], bool]
"""Have a tar, by its number, for the window of a number; False where there is no room for it yet."""


class ClosedError(Exception):
    """What was being fetched is not needed any more."""


class FetchAhead:
    """Threads that fetch. Threads may share it; those that wait for a tar need not wait for these: see `check`.

    A window's tars are taken in the order of the window, and none of the next before all of the current one are there
    or on their way, so that a run begins as soon as it can. While there is no room, one thread tries for all.
    """

    def __init__(self, uses: NextUse, fetch: Fetch, threads: int) -> None:
        self._uses, self._fetch = uses, fetch
        self._changed = threading.Condition()
        self._missing: dict[int, dict[int, None]] = {}  # by window, tars in its order that were not there yet
        self._busy: set[int] = set()
        self._full, self._again = False, 0.0  # whether there was no room, and when that is tried again
        self._error: Exception | None = None
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"headrace-stage-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def go_on(self, tars: Iterable[int]) -> None:
        """Note that these tars are wanted now. Raises what went wrong with any that was fetched ahead."""
        self.check()
        with self._changed:
            if self._uses.go_on(tars, AHEAD * self._uses.together):
                for number in [one for one in self._missing if one < self._uses.current - self._uses.together]:
                    del self._missing[number]
                self._again = 0.0  # others may go now
                self._changed.notify_all()

    def farthest_first(self, tars: Iterable[int], beyond: int) -> list[int]:
        """As that of the uses."""
        with self._changed:
            return self._uses.farthest_first(tars, beyond)

    @property
    def current(self) -> int:
        """The number of the current window."""
        return self._uses.current

    @property
    def last(self) -> int:
        """The number of the last window that is fetched ahead now."""
        return self._uses.current + AHEAD * self._uses.together

    def check(self) -> None:
        """Raise the error that ended a thread, if there is one."""
        if self._error is not None:
            raise self._error

    def told(self, _: int) -> None:
        """To be told of bytes that come: ends a download when this is closed."""
        if self._closing:
            raise ClosedError

    def close(self, patience: float | None = None) -> None:
        """End the threads, wherever they are, and wait for them."""
        self._closing = True
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(patience)

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._do(*task)
        except ClosedError:
            return
        except Exception as error:  # noqa: BLE001  handed over whole: whoever wants a tar next raises it
            self._error = error

    def _do(self, window: int, tar: int) -> None:
        there = self._fetch(tar, window)
        with self._changed:
            self._busy.discard(tar)
            self._full = not there
            if there:
                self._of(window).pop(tar, None)
                self._changed.notify_all()

    def _next(self) -> tuple[int, int] | None:
        """The window and the number of the tar to be fetched next; None at the end."""
        with self._changed:
            while not self._closing and self._error is None:
                pause = self._again - time.monotonic() if self._full else 0.0
                if pause <= 0 and (task := self._task()) is not None:
                    self._busy.add(task[1])
                    self._again = time.monotonic() + _WAIT_SECONDS
                    return task
                self._changed.wait(pause if pause > 0 else None)
            return None

    def _task(self) -> tuple[int, int] | None:
        for window in range(max(self.current - self._uses.together + 1, 0), self.last + 1):
            missing = self._of(window)
            if (tar := next((one for one in missing if one not in self._busy), None)) is not None:
                return window, tar
            if missing and window <= self.current:
                return None  # the rest of the current window has all of the network
        return None

    def _of(self, window: int) -> dict[int, None]:
        """What is missing of a window."""
        if window not in self._missing:
            self._missing[window] = dict.fromkeys(self._uses.window(window))
        return self._missing[window]
