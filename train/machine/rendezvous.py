"""How ranks agree on a name for their meeting that no earlier one had.

After a restart the elastic launcher may hand out the very store in which the last attempt's ranks left their addresses
(seen in torch 2.13; nothing in the environment tells attempts apart when a node comes back). Whoever reads those
connects to the dead. So nothing in the store is believed until its writer has shown that it is alive:

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
    """Some rank did not come in time."""


class Store(Protocol):
    """What is needed of the launcher's key-value store."""

    def set(self, key: str, value: str, /) -> None:
        """Write a value."""

    def get(self, key: str, /) -> bytes:
        """Read a value that is there."""

    def check(self, keys: list[str], /) -> bool:
        """Whether all of these keys are there."""


def meet(store: Store, rank: int, size: int, seconds: float) -> str:
    """The name, equal on all ranks and new. Raises AbsentError if some rank does not come in time."""
    own, end = uuid.uuid4().hex, time.monotonic() + seconds
    return _lead(store, size, own, end) if rank == 0 else _follow(store, rank, own, end)


def _lead(store: Store, size: int, challenge: str, end: float) -> str:
    store.set("challenge", challenge)
    answers = [f"answer/{challenge}/{rank}" for rank in range(1, size)]
    for _ in _until(end, f"all of the {size} ranks"):
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
