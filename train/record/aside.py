"""A callback in a thread of its own: what it does takes no time of the run, and its errors are warnings."""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from headrace.train.record.callback import Callback, Callbacks
from headrace.train.record.epoch import EpochReport
from headrace.train.record.moments import End, Saved, Start, StepLogged

_WAITING = 10_000  # moments that wait for a slow one; further ones are dropped
_PATIENCE_SECONDS = {"finished": 30.0, "stopped": 5.0, "failed": 2.0}
"""How long the end of a run waits for what is still to be done. Who stops a run gives it little time to go."""

Moment = Start | StepLogged | EpochReport | Saved | End


class Aside(Callback):
    """Tells `callback` of the moments one after another, aside of the run. `name` is what warnings call it.

    One that fails at the start is told nothing more; one that fails later is told the next moments all the same.
    The first error is a warning, those after it are not worth a line each. The thread does not keep the process alive.
    """

    def __init__(self, callback: Callback, name: str, warn: Callable[[str], None]) -> None:
        self._callback, self._name, self._warn = callback, name, warn
        self._waiting: queue.Queue[tuple[Callable[[Any], None], Moment]] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._warned = self._given_up = False

    def on_start(self, start: Start) -> None:
        """Start the thread, and tell."""
        self._thread = threading.Thread(target=self._work, name=f"headrace-{self._name}", daemon=True)
        self._tell(self._callback.on_start, start)
        self._thread.start()

    def on_step_logged(self, logged: StepLogged) -> None:
        """Tell."""
        self._tell(self._callback.on_step_logged, logged)

    def on_epoch(self, report: EpochReport) -> None:
        """Tell."""
        self._tell(self._callback.on_epoch, report)

    def on_saved(self, saved: Saved) -> None:
        """Tell."""
        self._tell(self._callback.on_saved, saved)

    def on_end(self, end: End) -> None:
        """Tell, and wait for the thread; not for ever."""
        self.tell_end(end)
        self.wait(end, time.monotonic())

    def tell_end(self, end: End) -> None:
        """Tell it, and do not wait."""
        self._tell(self._callback.on_end, end)

    def wait(self, end: End, since: float) -> None:
        """Wait for the thread; no longer than an end of this kind allows from this moment of the monotonic clock."""
        if self._thread is None:
            return
        seconds = _PATIENCE_SECONDS[end.reason]
        self._thread.join(max(0.0, since + seconds - time.monotonic()))
        if self._thread.is_alive():
            self._complain(f"not done after {seconds:g} s; the run ends without it")

    def _tell(self, method: Callable[[Any], None], moment: Moment) -> None:
        if self._given_up:
            return
        try:
            self._waiting.put_nowait((method, moment))
        except queue.Full:
            self._complain(f"{_WAITING:,} moments wait for it; those that come are dropped")

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
    """Several callbacks, each in a thread of its own. At the end all of them are waited for together."""

    def __init__(self, callbacks: Iterable[Aside]) -> None:
        self._aside = tuple(callbacks)
        super().__init__(self._aside)

    def on_end(self, end: End) -> None:
        """Tell all, then wait."""
        since = time.monotonic()
        for one in self._aside:
            one.tell_end(end)
        for one in self._aside:
            one.wait(end, since)
