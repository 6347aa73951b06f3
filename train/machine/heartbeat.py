"""Detects a host that has gone silent, without waiting for the time-out of a collective.

A host that loses power or network closes no connections. The other hosts would wait for the time-out of collectives,
which must be long enough for compiling, saving and filling caches. Therefore a thread of each rank writes a sign of
life to the launcher's key-value store every few seconds. The thread also reads the sign of life of the next rank; the
last rank reads that of rank 0. If the next rank is silent for too long, the reading rank ends its own process. The
connections of the ended process then close, which tells the other ranks that the run has failed. The thread also runs
while the main thread is busy or waiting. If the host of the store is gone, reading the store blocks the thread;
therefore a second thread measures the silence.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from headrace.shards.errors import HeadraceError, error_line
from headrace.train.machine.abort import end_process
from headrace.train.machine.rendezvous import Store
from headrace.train.machine.signals import StoppedError
from headrace.train.machine.world import World

_BEATS = 6  # signs of life within the time that counts as silence
_DONE = "done"
_JOIN_SECONDS = 2.0


class Heartbeat:
    """Writes signs of life of `rank` until `stop` is called; calls `end` if the next rank is silent for `seconds`.

    No other thread may use `store`.
    """

    def __init__(self, store: Store, rank: int, size: int, seconds: float, end: Callable[[str], None]) -> None:
        self._store, self._rank, self._size, self._seconds, self._end = store, rank, size, seconds, end
        self._next = (rank + 1) % size
        self._last = b""
        self._heard = time.monotonic()
        self._done = False
        self._over = Event()
        self._threads = [
            Thread(target=work, name=f"headrace-{work.__name__}", daemon=True) for work in (self._beat, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, *, done: bool) -> None:
        """Stop writing signs of life; `done` tells the other ranks that the silence of this rank is not an error."""
        self._done = done
        self._over.set()
        for thread in self._threads:  # an interpreter that exits while a thread is inside the store would abort
            thread.join(_JOIN_SECONDS)

    def _beat(self) -> None:
        count = 0
        with suppress(RuntimeError):  # the store is gone: this rank is ending too, or the other thread ends it
            while not self._over.wait(self._seconds / _BEATS if count else 0):
                count += 1
                self._store.set(_key(self._rank), str(count))
                self._listen()
            if self._done:
                self._store.set(_key(self._rank), _DONE)

    def _listen(self) -> None:
        """Record the time if the next rank has written a new sign of life; skip ranks that have finished."""
        if self._next != self._rank and self._store.check([_key(self._next)]):
            beat = self._store.get(_key(self._next))
            if beat != self._last:
                self._last, self._heard = beat, time.monotonic()
            if beat == _DONE.encode():
                self._next = (self._next + 1) % self._size
        if self._next == self._rank:  # all others are done
            self._heard = time.monotonic()

    def _watch(self) -> None:
        woken = time.monotonic()
        while not self._over.wait(self._seconds / _BEATS):
            now = time.monotonic()
            if now - woken > self._seconds / 2:  # this process itself was frozen, and so heard nothing
                self._heard = now
            woken = now
            if now - self._heard > self._seconds:
                self._end(f"no sign of life from rank {self._next} for {self._seconds:g} s")
                return


@contextmanager
def beating(world: World, seconds: float) -> Iterator[None]:
    """Within this context, the ranks of several hosts detect each other's silence by heartbeats.

    The context has no effect on a single host: there the kernel closes the connections of every process that ends.
    """
    store = world.store_of_thread()
    if store is None:
        yield
        return

    def silent(what: str) -> None:
        where = f"rank {world.rank} on {os.uname().nodename}"
        error = HeadraceError(f"{where}: {what} (runtime.silent_seconds). The host of the silent rank is down or hangs")
        end_process(error_line(error), 1)

    heartbeat = Heartbeat(store, world.rank, world.size, seconds, silent)
    try:
        yield
    except BaseException as error:
        heartbeat.stop(done=isinstance(error, StoppedError))
        raise
    heartbeat.stop(done=True)


def _key(rank: int) -> str:
    return f"beat/{rank}"
