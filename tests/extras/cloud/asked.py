"""What servers were asked for, and the words that all of them share."""

import threading
from collections import Counter
from typing import NamedTuple

SECRET = "SECRETacceSSkeyThatMustStayAway"  # noqa: S105  made up
BUCKET = "bucket"


class Asked(NamedTuple):
    """A request for a file."""

    method: str
    path: str
    range: str


class Count:
    """Requests in order, and bytes of tars that were sent."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.sent = 0
        self._lock = threading.Lock()

    def note(self, asked: Asked) -> None:
        """A request came."""
        with self._lock:
            self.requests.append(asked)

    def add(self, sent: int) -> None:
        """Bytes of a tar went out."""
        with self._lock:
            self.sent += sent

    @property
    def tars(self) -> Counter[str]:
        """How often each tar was asked for."""
        found = (one.path.rpartition("/")[2] for one in self.requests if one.method == "GET")
        return Counter(name for name in found if name.endswith(".tar"))

    @property
    def ranges(self) -> Counter[str]:
        """How often a part of each was."""
        names = (one.path.rpartition("/")[2] for one in self.requests if one.method == "GET" and one.range)
        return Counter(name for name in names if name.endswith(".tar"))

    def clear(self) -> None:
        """Forget all."""
        self.requests.clear()
        self.sent = 0
