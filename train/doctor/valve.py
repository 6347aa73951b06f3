"""A stream of plans that comes only while it is open, so that whoever is fed by it stands still between turns."""

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Valve(Generic[Item]):
    """Iterates `items`, in whichever thread asks for them; it makes that thread wait while it is shut."""

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
        """Let items pass."""
        self._passing.set()

    def shut(self) -> None:
        """Hold the next item back."""
        self._passing.clear()

    def end(self) -> None:
        """Be at the end, for whoever waits too."""
        self._ended = True
        self._passing.set()
