"""A valve for a stream of plans: while it is shut, the input pipeline gets no plans and pauses between two timings."""

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Valve(Generic[Item]):
    """Iterates over `items` in any thread; while the valve is shut, the thread waits."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._passing, self._ended = threading.Event(), False

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        self._passing.wait()
        if self._ended:
            raise StopIteration
        return next(self._items)

    def open(self) -> None:
        """Let items pass again."""
        self._passing.set()

    def shut(self) -> None:
        """Hold back all items from the next one on, until `open` is called."""
        self._passing.clear()

    def end(self) -> None:
        """End the stream, also for threads that wait for the next item."""
        self._ended = True
        self._passing.set()
