"""Lets a stream of plans pass only while a valve is open, so that the consumer of the plans pauses between turns."""

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
        """Hold the next item back."""
        self._passing.clear()

    def end(self) -> None:
        """End the stream, even for threads that are waiting."""
        self._ended = True
        self._passing.set()
