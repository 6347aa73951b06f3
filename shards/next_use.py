"""Finds when each tar is used next, so that the tar with the farthest next use is evicted first if there is no room.

A run reads tars in windows (lists of tars that are read together), whose order is known up to the end of the run.
Evicting the tar with the farthest next use is Belady's rule, which is optimal. A tar is never evicted to make room for
a tar whose next use is later.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

NEVER = 1 << 62
"""The result of `NextUse.next_use` for a tar that is not used again."""
_MOST_AHEAD = 1 << 20  # windows that are searched for a next use


class NextUse:
    """The windows of tars that a run uses, from the current window on.

    Threads must not share this object without a lock. `together` windows may be in use at a time, because each
    partition reads from its own window.
    """

    def __init__(self, windows: Iterator[Sequence[int]], together: int = 1) -> None:
        self.current = 0  # the number of the latest window from which a tar was requested
        self.together = together
        self._windows = windows
        self._loaded: deque[tuple[int, ...]] = deque()
        self._sets: dict[int, frozenset[int]] = {}  # the windows by number, for looking up tars
        self._first = 0  # the number of the first loaded window
        self._uses: dict[int, deque[int]] = {}
        self._ended = False

    def window(self, number: int) -> tuple[int, ...]:
        """The tars of window `number`; empty after the last window. `number` must be at least `current - together`."""
        while self._first + len(self._loaded) <= number and self._load():
            pass
        place = number - self._first
        return self._loaded[place] if 0 <= place < len(self._loaded) else ()

    def go_on(self, tars: Iterable[int], ahead: int) -> bool:
        """Record that these tars are needed now; return whether this made one of the next `ahead` windows current."""
        wanted = set(tars)
        if wanted <= self._set(self.current):
            return False
        latest = max((self._of(tar, ahead) for tar in wanted), default=self.current)
        if latest <= self.current:
            return False
        self.current = latest
        while self._first < latest - self.together and self._loaded:
            self._loaded.popleft()
            self._sets.pop(self._first, None)
            self._first += 1
        return True

    def _of(self, tar: int, ahead: int) -> int:
        """The index of the first window, from the current one on, that contains the tar.

        Searches the current and the next `ahead` windows; returns the current index if none of them contains the tar.
        """
        for number in range(self.current, self.current + ahead + 1):
            if tar in self._set(number):
                return number
        return self.current

    def _set(self, number: int) -> frozenset[int]:
        if number not in self._sets:
            self._sets[number] = frozenset(self.window(number))
        return self._sets[number]

    def next_use(self, tar: int) -> int:
        """The number of the window that uses the tar now or next; NEVER if no window does."""
        since = self.current - self.together
        while True:
            uses = self._uses.setdefault(tar, deque())
            while uses and uses[0] < since:
                uses.popleft()
            if uses:
                return uses[0]
            if self._first + len(self._loaded) > self.current + _MOST_AHEAD or not self._load():
                return NEVER

    def farthest_first(self, tars: Iterable[int], beyond: int) -> list[int]:
        """The `tars` whose next use is after window `beyond`; the tar with the latest next use comes first."""
        uses = [(self.next_use(tar), tar) for tar in tars]
        return [tar for use, tar in sorted(uses, reverse=True) if use > beyond]

    def _load(self) -> bool:
        """Load one more window; return False if there is none."""
        found = None if self._ended else next(self._windows, None)
        if found is None:
            self._ended = True
            return False
        number = self._first + len(self._loaded)
        self._loaded.append(tuple(int(tar) for tar in found))
        for tar in self._loaded[-1]:
            self._uses.setdefault(tar, deque()).append(number)
        return True
