import threading
import time
from pathlib import Path

import pytest

from headrace.train.record import aside
from headrace.train.record.aside import Aside
from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochReport
from headrace.train.record.moments import End, Start
from tests.train.record.moments import Kept, end, logged, report, start, tell_all


class Held(Kept):
    """Waits in `on_epoch` until it may continue."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()

    def on_epoch(self, report: EpochReport) -> None:
        """Wait."""
        self.may.wait(20)
        super().on_epoch(report)


class Unreachable(Kept):
    """Fails at the start, at epochs, or never."""

    def __init__(self, *, start: bool = False, epoch: bool = False) -> None:
        super().__init__()
        self._start, self._epoch = start, epoch

    def on_start(self, start: Start) -> None:
        """Fail if requested."""
        if self._start:
            raise ConnectionError("no route\nto host")
        super().on_start(start)

    def on_epoch(self, report: EpochReport) -> None:
        """Fail if requested."""
        if self._epoch:
            raise ConnectionError("no route\nto host")
        super().on_epoch(report)


def test_everything_arrives_in_order(tmp_path: Path) -> None:
    """The callback in its thread gets all moments in order, and all of them before the end."""
    kept, warnings = Kept(), list[str]()
    told = tell_all(Aside(kept, "kept", warnings.append), tmp_path)
    assert (kept.moments, warnings) == (told, [])


def test_run_does_not_wait_for_a_slow_one(tmp_path: Path) -> None:
    """Moments are handed over at once, and wait while the callback is busy."""
    held = Held()
    told = Aside(held, "held", print)
    told.on_start(start(tmp_path))
    began = time.monotonic()
    for epoch in range(100):
        told.on_epoch(report(epoch))
    assert time.monotonic() - began < 5  # the callback would have kept each for 20 s
    held.may.set()
    told.on_end(end())
    assert len(held.moments) == 102


def test_failure_at_the_start_is_one_warning(tmp_path: Path) -> None:
    """The warning is one line for any error; the callback gets nothing more, and the end does not wait."""
    gone, warnings = Unreachable(start=True), list[str]()
    began = time.monotonic()
    tell_all(Aside(gone, "server", warnings.append), tmp_path)
    assert warnings == ["server: ConnectionError: no route to host"]
    assert gone.moments == []
    assert time.monotonic() - began < 5


def test_later_failures_are_one_warning(tmp_path: Path) -> None:
    """A callback that sometimes fails still gets all other moments, including the end."""
    shaky, warnings = Unreachable(epoch=True), list[str]()
    told = tell_all(Aside(shaky, "server", warnings.append), tmp_path)
    assert warnings == ["server: ConnectionError: no route to host"]
    assert shaky.moments == [moment for moment in told if not isinstance(moment, EpochReport)]


def test_end_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is abandoned with a warning."""
    monkeypatch.setitem(aside._PATIENCE_SECONDS, "failed", 0.2)
    held, warnings = Held(), list[str]()
    told = Aside(held, "server", warnings.append)
    told.on_start(start(tmp_path))
    told.on_epoch(report(1))
    told.on_end(end("failed"))
    assert warnings == ["server: not finished after 0.2 s; the run ends without waiting longer"]
    held.may.set()


def test_moments_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If too many moments wait, later ones are dropped with a message."""
    monkeypatch.setattr(aside, "_WAITING", 5)
    held, warnings = Held(), list[str]()
    told = Aside(held, "server", warnings.append)
    told.on_start(start(tmp_path))
    told.on_epoch(report(1))
    for step in range(20):
        told.on_step_logged(logged(step))
    assert warnings == ["server: 5 moments of the run are waiting; further moments are dropped"]
    held.may.set()


class Thread(Callback):
    """Stores the thread that calls it."""

    name = ""

    def on_end(self, _: End) -> None:
        """Store the thread."""
        self.name = threading.current_thread().name


def test_thread_has_a_name(tmp_path: Path) -> None:
    """The thread has a name, which profilers and dumps show."""
    thread = Thread()
    tell_all(Aside(thread, "tensorboard", print), tmp_path)
    assert thread.name == "headrace-tensorboard"
