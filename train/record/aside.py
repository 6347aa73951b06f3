"""Runs a callback in a separate thread, so that the callback does not delay the run; its errors become warnings."""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from headrace.train.record.callback import Callback, Callbacks
from headrace.train.record.epoch import EpochReport
from headrace.train.record.moments import End, Saved, Start, StepLogged

_WAITING = 10_000  # moments that may wait for a slow callback; further ones are dropped
_PATIENCE_SECONDS = {"finished": 30.0, "stopped": 5.0, "failed": 2.0}
"""For each way in which a run can end, the number of seconds that the run then waits for a callback.

After a signal ("stopped") the wait is short, because the process may be killed soon.
"""

Moment = Start | StepLogged | EpochReport | Saved | End


class Aside(Callback):
    """Passes the events of a run to `callback`, one after another, in a separate thread.

    `name` is the name of the callback in warnings. If the callback raises an error at the start of the run, the
    callback is not called again. After any other error, the callback is still called at later events. Only the first
    error is shown, as a warning. The thread does not keep the process alive.
    """

    def __init__(self, callback: Callback, name: str, warn: Callable[[str], None]) -> None:
        self._callback, self._name, self._warn = callback, name, warn
        self._waiting: queue.Queue[tuple[Callable[[Any], None], Moment]] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._warned = self._given_up = False

    def on_start(self, start: Start) -> None:
        """Start the thread, and queue the start of the run for the callback."""
        self._thread = threading.Thread(target=self._work, name=f"headrace-{self._name}", daemon=True)
        self._tell(self._callback.on_start, start)
        self._thread.start()

    def on_step_logged(self, logged: StepLogged) -> None:
        """Queue the losses of the last steps for the callback."""
        self._tell(self._callback.on_step_logged, logged)

    def on_epoch(self, report: EpochReport) -> None:
        """Queue the results of an epoch for the callback."""
        self._tell(self._callback.on_epoch, report)

    def on_saved(self, saved: Saved) -> None:
        """Queue the news of a saved checkpoint for the callback."""
        self._tell(self._callback.on_saved, saved)

    def on_end(self, end: End) -> None:
        """Queue the end of the run for the callback, and wait a limited time for the thread."""
        self.tell_end(end)
        self.wait(end, time.monotonic())

    def tell_end(self, end: End) -> None:
        """Queue the end of the run for the callback without waiting."""
        self._tell(self._callback.on_end, end)

    def wait(self, end: End, since: float) -> None:
        """Wait until the thread ends or the time limit is over; the limit depends on the reason of `end`.

        The limit is counted from `since`, a time of the monotonic clock, in seconds.
        """
        if self._thread is None:
            return
        seconds = _PATIENCE_SECONDS[end.reason]
        self._thread.join(max(0.0, since + seconds - time.monotonic()))
        if self._thread.is_alive():
            self._complain(f"not finished after {seconds:g} s; the run ends without waiting longer")

    def _tell(self, method: Callable[[Any], None], moment: Moment) -> None:
        if self._given_up:
            return
        try:
            self._waiting.put_nowait((method, moment))
        except queue.Full:
            self._complain(f"{_WAITING:,} moments of the run are waiting; further moments are dropped")

    def _work(self) -> None:
        moment: Moment | None = None
        while not isinstance(moment, End):
            method, moment = self._waiting.get()
            try:
                method(moment)
            except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
                self._complain(f"{type(error).__name__}: {' '.join(str(error).split())}")
                if isinstance(moment, Start):
                    self._given_up = True
                    return

    def _complain(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"{self._name}: {what}")


class AllAside(Callbacks):
    """Runs several callbacks, each in a separate thread. At the end of a run, one time limit covers all of them."""

    def __init__(self, callbacks: Iterable[Aside]) -> None:
        self._aside = tuple(callbacks)
        super().__init__(self._aside)

    def on_end(self, end: End) -> None:
        """Queue the end of the run for all callbacks, then wait until all threads end, within one time limit."""
        since = time.monotonic()
        for one in self._aside:
            one.tell_end(end)
        for one in self._aside:
            one.wait(end, since)
