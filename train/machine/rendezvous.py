"""Lets ranks agree on a new name for their rendezvous: a name that no earlier start of the ranks has used.

After a restart, the elastic launcher may give the ranks the same key-value store as before (seen in torch 2.13). The
store then still holds the addresses of the ranks from before the restart. A rank that reads these addresses would
connect to dead processes. If a lost host comes back, no environment variable tells a rank whether the store is new. So
a rank uses an entry only after the entry's writer has shown that it is alive:

    rank 0              challenge = C (new)              waits for answer/C/1 ... answer/C/N-1
    rank r              reads C, answer/C/r = A (new)    waits for go/A, and reads C again meanwhile
    rank 0              go/A = C for each A              C is the name
"""

import time
import uuid
from collections.abc import Iterator
from typing import Protocol

_POLL_SECONDS = 0.05


class AbsentError(RuntimeError):
    """A rank did not arrive at the rendezvous in time."""


class Store(Protocol):
    """The methods of the launcher's key-value store that a rendezvous needs."""

    def set(self, key: str, value: str, /) -> None:
        """Write a value under a key of the store."""

    def get(self, key: str, /) -> bytes:
        """Return the value of a key that exists in the store."""

    def check(self, keys: list[str], /) -> bool:
        """Return whether all of these keys exist in the store."""


def meet(store: Store, rank: int, size: int, seconds: float) -> str:
    """Return a new name for the rendezvous, the same on all ranks.

    Raises AbsentError if a rank does not arrive in time.
    """
    own, end = uuid.uuid4().hex, time.monotonic() + seconds
    return _lead(store, size, own, end) if rank == 0 else _follow(store, rank, own, end)


def _lead(store: Store, size: int, challenge: str, end: float) -> str:
    store.set("challenge", challenge)
    answers = [f"answer/{challenge}/{rank}" for rank in range(1, size)]
    for _ in _until(end, f"all {size} ranks"):
        if store.check(answers):
            break
    for answer in answers:
        store.set(f"go/{store.get(answer).decode()}", challenge)
    return challenge


def _follow(store: Store, rank: int, own: str, end: float) -> str:
    for _ in _until(end, "rank 0"):
        if store.check([f"go/{own}"]):
            break
        if store.check(["challenge"]):
            store.set(f"answer/{store.get('challenge').decode()}/{rank}", own)
    return store.get(f"go/{own}").decode()


def _until(end: float, whom: str) -> Iterator[None]:
    while time.monotonic() < end:
        yield
        time.sleep(_POLL_SECONDS)
    raise AbsentError(f"timed out waiting for {whom} to start")
