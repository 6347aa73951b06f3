import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]

from headrace.train.machine.heartbeat import Heartbeat

SECONDS = 1.2
PATIENCE = 20.0


class Ring:
    """Three ranks in this process; `said` has the message of each rank that noticed silence."""

    def __init__(self) -> None:
        self.store = HashStore()
        self.said: dict[int, str] = {}
        self.beats = {rank: Heartbeat(self.store, rank, 3, SECONDS, self._note(rank)) for rank in range(3)}

    def _note(self, rank: int) -> Callable[[str], None]:
        return lambda what: self.said.update({rank: what})

    def noticed(self) -> dict[int, str]:
        """Return the messages as soon as there is one."""
        end = time.monotonic() + PATIENCE
        while not self.said and time.monotonic() < end:
            time.sleep(0.05)
        return self.said


@pytest.fixture
def ring() -> Iterator[Ring]:
    """Yield three ranks that send heartbeats."""
    made = Ring()
    yield made
    for beat in made.beats.values():
        beat.stop(done=True)


def test_ranks_that_beat_are_left_alone(ring: Ring) -> None:
    """There is no message for several times the seconds of silence."""
    time.sleep(3 * SECONDS)
    assert ring.said == {}


def test_silent_rank_is_noticed_by_the_one_before_it(ring: Ring) -> None:
    """A rank that stops before it is done is named."""
    began = time.monotonic()
    ring.beats[2].stop(done=False)
    assert ring.noticed() == {1: f"no sign of life from rank 2 for {SECONDS:g} s"}
    assert time.monotonic() - began > SECONDS / 2


def test_rank_that_is_done_is_passed_over(ring: Ring) -> None:
    """A rank that is done is not missed: the rank before it listens to the next one."""
    ring.beats[2].stop(done=True)
    time.sleep(2 * SECONDS)
    assert ring.said == {}
    ring.beats[0].stop(done=False)
    assert ring.noticed() == {1: f"no sign of life from rank 0 for {SECONDS:g} s"}


class Hanging(HashStore):
    """A store on a lost host, whose callers wait."""

    def __init__(self) -> None:
        super().__init__()
        self.back = Event()

    def check(self, keys: list[str]) -> bool:
        """Wait."""
        self.back.wait(PATIENCE)
        return bool(super().check(keys))


def test_silent_store_is_noticed() -> None:
    """A store that keeps the thread waiting counts as silent too."""
    store, said = Hanging(), Event()
    beat = Heartbeat(store, 0, 2, SECONDS, lambda _: said.set())
    assert said.wait(PATIENCE)
    store.back.set()
    beat.stop(done=False)
