"""Finds silent ranks after a collective has failed: each healthy rank answers in the key-value store.

Each rank then watches the store for the answers of the other ranks.
"""

import atexit
import time
from threading import Event, Thread

from headrace.train.machine.rendezvous import Store

_POLL_SECONDS = 0.1
_LISTEN_SECONDS = 2.0  # ranks that wait for the same rank give up at about the same time
_END_SECONDS = 30.0


class RollCall:
    """Writes this rank's answer to the store at once, and then records which other ranks answer.

    A thread does this work, because a store on a machine that is down may block its callers forever.
    """

    def __init__(self, store: Store, rank: int, size: int) -> None:
        self._began = time.monotonic()
        self._rank = rank
        self._missing = set(range(size))
        self._over = Event()
        self._thread = Thread(target=self._listen, args=(store,), name="headrace-rollcall", daemon=True)
        self._thread.start()
        atexit.register(self._stop)

    def silent(self) -> list[int]:
        """Return the ranks that did not answer within 2 s; [] during these 2 s, or if the store does not respond."""
        if self._rank in self._missing or time.monotonic() - self._began < _LISTEN_SECONDS:
            return []
        return sorted(self._missing)

    def _listen(self, store: Store) -> None:
        try:
            store.set(_answer(self._rank), "")
            while self._missing and time.monotonic() - self._began < _END_SECONDS:
                self._missing = {other for other in self._missing if not store.check([_answer(other)])}
                if self._over.wait(_POLL_SECONDS):
                    break
        except RuntimeError:  # the store is gone, so nobody can tell who is silent
            self._missing = set()

    def _stop(self) -> None:
        """Stop the thread and wait for it, because an interpreter that exits during a call of the store aborts."""
        self._over.set()
        self._thread.join(_LISTEN_SECONDS)


def _answer(rank: int) -> str:
    return f"waiting/{rank}"
