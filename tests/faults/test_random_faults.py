"""Twenty faults drawn at random in one run on two hosts, whose agents are started again when they end.

No file can be locked, as on some network disks: attempts alone keep writers apart.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.cluster import PATIENCE, Cluster
from tests.faults.notes import read_notes, restarts
from tests.faults.runs import arguments, losses
from tests.hosts import Host, hosts

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200)]
SEED, FAULTS, SAVED, SILENCE = 8, 20, 2, 5.0
KINDS = ("kill a rank", "kill a host", "freeze", "link down", "slow disk")
SHORT, LONG = 2.0, 12.0  # seconds: less than what counts as silence, and more


class Tended(Cluster):
    """Agents that are started again when they end with an error, as a scheduler does."""

    def begin(self, *those: Host) -> None:
        """Start agents."""
        folder = self.out.parent
        fault = {"what": "slow", "seconds": 1, "lockless": SILENCE}
        for host in those:
            self.start(host, {**fault, "notes": str(folder / "notes")})

    def wait_until(self, over: Callable[[], bool], *down: Host) -> None:
        """Look after all hosts but those that are down."""
        end = time.monotonic() + 2 * PATIENCE
        while not over():
            assert time.monotonic() < end, (self.out.parent / "log").read_text()[-5000:]
            for host in self.hosts:
                if host not in down and self.agents[host.name].poll() not in (None, 0):
                    self.begin(host)
            time.sleep(0.1)

    def wait(self, seconds: float, *down: Host) -> None:
        """Look after all hosts but those that are down, for some seconds."""
        end = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() > end, *down)

    def strike(self, kind: str, host: Host, seconds: float) -> None:
        """One fault, from its beginning to its end."""
        slow = self.out.with_name("slow")
        if kind == "kill a rank":
            for process in self.ranks(host):
                os.kill(process, signal.SIGKILL)
        elif kind == "kill a host":
            host.vanish()
            self.wait(seconds, host)
            host.plug()
        elif kind == "freeze":
            host.signal(signal.SIGSTOP)
            self.wait(seconds)
            host.signal(signal.SIGCONT)
        elif kind == "link down":
            host.unplug()
            self.wait(seconds)
            host.plug()
        else:
            slow.touch()
            self.wait(seconds)
            slow.unlink()


@pytest.fixture
def run(tiny_set: Path, tmp_path: Path) -> Iterator[Tended]:
    """An elastic run on two hosts."""
    out = tmp_path / "run"
    values = {"runtime__silent_seconds": SILENCE, "runtime__checkpoint_steps": SAVED}
    given = arguments(tiny_set, out, "--resume", "auto", train__epochs=1000, **values)
    with hosts(2) as made, Tended(out, given, "1:2", restarts=100, log=tmp_path / "log") as tended:
        tended.begin(*made)
        yield tended


def test_twenty_random_faults(run: Tended) -> None:
    """Each costs at most the save interval, and a save that was under way; one process writes at a time.

    In the end there is each step once.
    """
    draws, notes = np.random.default_rng(SEED), run.out.with_name("notes")

    def steps() -> int:
        return sum(note.what == "step" for note in read_notes(notes))

    for number in range(FAULTS):
        goal = steps() + 3
        run.wait_until(lambda goal=goal: steps() >= goal)  # type: ignore[misc]
        kind, host = KINDS[draws.integers(len(KINDS))], run.hosts[draws.integers(len(run.hosts))]
        seconds = (SHORT, LONG)[draws.integers(2)]
        sys.stdout.write(f"{time.strftime('%X')} {number}: {kind}, {host.name}, {seconds:g} s, {steps()} steps\n")
        run.strike(kind, host, seconds)
    for host in run.hosts:
        run.agents[host.name].terminate()
    for host in run.hosts:
        run.agents[host.name].wait(PATIENCE)
    assert len(losses(run.out)) > FAULTS
    made = read_notes(notes)
    writers = [note.attempt for note in made if note.what == "saved"]
    assert writers == sorted(writers)
    again = restarts(made)
    sys.stdout.write("\n".join(map(str, again)) + "\n")
    assert again
    for one in again:
        assert one.step >= one.saved
        assert one.done - one.step <= SAVED * (1 + one.unfinished)
