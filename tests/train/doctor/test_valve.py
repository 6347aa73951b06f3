import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue

import pytest

from headrace.train.doctor.valve import Valve


def until_none_comes(passed: "SimpleQueue[int]") -> int:
    """Return the number of items until none comes."""
    for count in range(1_000_000):
        try:
            passed.get(timeout=0.3)
        except Empty:
            return count
    raise AssertionError("they do not end")


@pytest.fixture
def flow() -> Iterator[tuple[Valve[int], "SimpleQueue[int]", threading.Thread]]:
    """Return a valve, and a queue that a thread fills with numbers that pass the valve."""
    valve, passed = Valve(iter(range(1_000_000))), SimpleQueue[int]()

    def ask() -> None:
        for number in valve:
            passed.put(number)
            time.sleep(0.001)

    thread = threading.Thread(target=ask)
    thread.start()
    yield valve, passed, thread
    valve.end()
    thread.join(10)
    assert not thread.is_alive()


def test_nothing_passes_before_it_is_opened(flow: tuple[Valve[int], "SimpleQueue[int]", threading.Thread]) -> None:
    """An opened valve lets all items pass in order until it is shut again."""
    valve, passed, _ = flow
    assert until_none_comes(passed) == 0
    valve.open()
    assert [passed.get(timeout=5) for _ in range(20)] == list(range(20))
    valve.shut()
    late = until_none_comes(passed)
    valve.open()
    assert passed.get(timeout=5) == 20 + late


def test_end_lets_go_of_whoever_waits(flow: tuple[Valve[int], "SimpleQueue[int]", threading.Thread]) -> None:
    """A thread that waits at a shut valve ends."""
    valve, _, thread = flow
    valve.end()
    thread.join(10)
    assert not thread.is_alive()
