"""Which tars are fetched and when, with threads that record each request instead of fetching."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from headrace.shards import fetch_ahead
from headrace.shards.fetch_ahead import AHEAD, ClosedError, FetchAhead
from headrace.shards.next_use import NextUse

WINDOWS = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]


class Asked:
    """The tars that were requested, in order; a closed gate holds up every fetch."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    def __call__(self, tar: int, window: int, _: object) -> bool:
        """Record the request, and return once the gate is open."""
        assert tar in WINDOWS[window]
        with self._lock:
            self.order.append(tar)
        return self.gate.wait(10)

    def settled(self) -> list[int]:
        """All the tars requested so far, once no more requests arrive."""
        settled(lambda: len(self.order))
        return sorted(self.order)


def settled(count: Callable[[], int]) -> int:
    """The count, once it is above 0 and has not grown for a while."""
    seen, since, until = 0, time.monotonic(), time.monotonic() + 10
    while time.monotonic() < until and (not seen or time.monotonic() - since < 0.3):
        time.sleep(0.01)
        if (now := count()) != seen:
            seen, since = now, time.monotonic()
    return seen


@pytest.fixture
def asked() -> Asked:
    """The record of requests that the threads fill."""
    return Asked()


@pytest.fixture
def ahead(asked: Asked) -> Iterator[FetchAhead]:
    """Six threads behind a closed gate."""
    asked.gate.clear()
    with closing(FetchAhead(NextUse(iter(WINDOWS)), asked, 6)) as ahead:
        ahead.start()
        yield ahead
        asked.gate.set()


def test_current_window_comes_first_then_two_more(asked: Asked, ahead: FetchAhead) -> None:
    """Six threads fetch only the two tars of this window first, then the next windows, and each tar once."""
    assert asked.settled() == [0, 1]
    asked.gate.set()
    assert asked.settled() == [tar for window in WINDOWS[: 1 + AHEAD] for tar in window]
    ahead.go_on([2])
    assert asked.settled() == [tar for window in WINDOWS[: 2 + AHEAD] for tar in window]
    ahead.go_on([6, 7])  # jumps are followed, as where a batch straddles windows
    assert asked.settled() == [tar for window in WINDOWS for tar in window]


def test_no_room_is_tried_again() -> None:
    """A tar for which there was no room is requested again until there is room."""
    tries: list[int] = []

    def fetch(tar: int, _: int, __: object) -> bool:
        tries.append(tar)
        return len(tries) > 3

    with closing(FetchAhead(NextUse(iter([[7]])), fetch, 1)) as ahead:
        ahead.start()
        deadline = time.monotonic() + 10
        while len(tries) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
    assert tries == [7] * 4


def test_no_thread_tries_again_before_its_time_or_a_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A try searches the whole stage, so it is repeated only after a wait, or at once when a window ends."""
    monkeypatch.setattr(fetch_ahead, "_WAIT_SECONDS", 60.0)
    tries: list[int] = []

    def fetch(tar: int, _: int, __: object) -> bool:
        tries.append(tar)
        return False

    with closing(FetchAhead(NextUse(iter(WINDOWS)), fetch, 6)) as ahead:
        ahead.start()
        assert settled(lambda: len(tries)) <= 6
        before = len(tries)
        assert before >= 1  # all may begin before the first is told
        ahead.go_on([2])
        deadline = time.monotonic() + 10
        while len(tries) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        assert len(tries) == before + 1


def test_error_of_a_thread_reaches_whoever_wants_a_tar() -> None:
    """The next reader that needs a tar gets the error of a thread unchanged, and so does every later one."""

    def fetch(tar: int, _: int, __: object) -> bool:
        raise OSError(f"no {tar}")

    with closing(FetchAhead(NextUse(iter(WINDOWS)), fetch, 2)) as ahead:
        ahead.start()
        for thread in ahead._threads:  # each ends with an error
            thread.join(10)
        for _ in range(2):
            with pytest.raises(OSError, match=r"no [01]"):
                ahead.go_on([0])


def test_closing_ends_what_is_on_its_way() -> None:
    """Closing ends a download the next time it reports bytes; without threads nothing is fetched."""
    told = threading.Event()
    box: list[FetchAhead] = []

    def fetch(_: int, __: int, ___: object) -> bool:
        while True:
            told.set()
            box[0].told(1)
            time.sleep(0.005)

    box.append(FetchAhead(NextUse(iter(WINDOWS)), fetch, 0))
    assert not told.is_set()
    threads = FetchAhead(NextUse(iter(WINDOWS)), fetch, 3)
    box[0] = threads
    threads.start()
    assert told.wait(10)
    threads.close()
    threads.check()
    with pytest.raises(ClosedError):
        threads.told(1)
