"""Which ranks are silent: when a collective fails, each rank that still can answers in the store, and listens there."""

import atexit
import time
from threading import Event, Thread

from headrace.train.machine.rendezvous import Store

_POLL_SECONDS = 0.1
_LISTEN_SECONDS = 2.0  # ranks that wait for the same one give up at about the same time
_END_SECONDS = 30.0


class RollCall:
    """Answers for this rank at once, and notes who else does.

    In a thread of its own: a store on a machine that is gone may keep its callers waiting for ever.
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
        """The ranks that have not answered; none if they still have time to, or if the store itself is silent."""
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
        except RuntimeError:  # the store is gone: then nobody can say who is silent
            self._missing = set()

    def _stop(self) -> None:
        """An interpreter that ends while the thread is inside the store would abort."""
        self._over.set()
        self._thread.join(_LISTEN_SECONDS)


def _answer(rank: int) -> str:
    return f"waiting/{rank}"
