"""Fetches tars in threads before a run needs them: first those of the current window, then those of the next two.

A window is a list of tars that a run reads together, such as the shards whose samples are shuffled together.
"""

import threading
import time
from collections.abc import Callable, Iterable

from headrace.shards.next_use import NextUse

AHEAD = 2
"""The number of windows after the current window whose tars are fetched ahead.

Two windows bridge pauses of the storage, and take little disk space.
"""
_WAIT_SECONDS = 0.2  # between attempts while there is no room, because each attempt searches the whole stage

Told = Callable[[int], None]
Fetch = Callable[[int, int, Told], bool]
"""A function that fetches a tar if it is missing, given the numbers of the tar and of its window.

Returns False if the stage has no room for the tar yet.
"""


class ClosedError(Exception):
    """A `FetchAhead` was closed, so the tar that it is fetching is not needed any more."""


class FetchAhead:
    """Fetches tars ahead in threads.

    Other threads may share this object; `check` raises errors of the fetching threads. The tars of a window are fetched
    in the order of the window. A tar of a later window is fetched only when all tars of the current window are staged
    or being fetched. So a run starts as early as possible. While the stage has no room for a tar, only one thread at a
    time tries again.
    """

    def __init__(self, uses: NextUse, fetch: Fetch, threads: int) -> None:
        self._uses, self._fetch = uses, fetch
        self._changed = threading.Condition()
        self._missing: dict[int, dict[int, None]] = {}  # by window, the tars that are not staged yet, in order
        self._busy: set[int] = set()
        self._full, self._again = False, 0.0  # whether there was no room, and when to try again
        self._error: Exception | None = None
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"headrace-stage-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def go_on(self, tars: Iterable[int]) -> None:
        """Record that these tars are needed now. Raises the error that ended a thread, if there is one."""
        self.check()
        with self._changed:
            if self._uses.go_on(tars, AHEAD * self._uses.together):
                for number in [one for one in self._missing if one < self._uses.current - self._uses.together]:
                    del self._missing[number]
                self._again = 0.0  # tars of earlier windows may be evicted now
                self._changed.notify_all()

    def farthest_first(self, tars: Iterable[int], beyond: int) -> list[int]:
        """Like `NextUse.farthest_first`, but safe for several threads."""
        with self._changed:
            return self._uses.farthest_first(tars, beyond)

    @property
    def current(self) -> int:
        """The number of the current window."""
        return self._uses.current

    @property
    def last(self) -> int:
        """The number of the last window whose tars may be fetched now."""
        return self._uses.current + AHEAD * self._uses.together

    def check(self) -> None:
        """Raise the error that ended a thread, if there is one."""
        if self._error is not None:
            raise self._error

    def told(self, _: int) -> None:
        """Raise ClosedError if this object is closed. A download calls this method whenever bytes arrive."""
        if self._closing:
            raise ClosedError

    def close(self, patience: float | None = None) -> None:
        """End the threads, even during a download; wait at most `patience` seconds for each thread."""
        self._closing = True
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident and thread is not threading.current_thread():
                thread.join(patience)

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._do(*task)
        except ClosedError:
            return
        except Exception as error:  # noqa: BLE001  `check` raises it in the thread that needs the next tar
            self._error = error

    def _do(self, window: int, tar: int) -> None:
        there = self._fetch(tar, window, self.told)
        with self._changed:
            self._busy.discard(tar)
            self._full = not there
            if there:
                self._of(window).pop(tar, None)
                self._changed.notify_all()

    def _next(self) -> tuple[int, int] | None:
        """Wait for the next tar to fetch; return its window and its number, or None after an error or `close`."""
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
                return None  # until the current window is complete, its remaining downloads get the whole network
        return None

    def _of(self, window: int) -> dict[int, None]:
        """The tars of a window that are not staged yet, as the keys of a dictionary in the order of the window."""
        if window not in self._missing:
            self._missing[window] = dict.fromkeys(self._uses.window(window))
        return self._missing[window]
