"""Runs of torchrun with `--nnodes 1:4` on the hosts of a test, which are lost and come back.

Signs of life are looked for within 5 s here, not 60. Torch counts a host that sends nothing as present for 15 s more.
"""

import signal
import sys
import time
from collections.abc import Callable

import numpy as np

from headrace.train.checkpoint import names
from tests.faults.cluster import PATIENCE, Cluster, starts, wait_until_gone
from tests.faults.runs import losses, steps_done
from tests.hosts import Host

SAVED = 2  # steps between checkpoints
CALM = {"train__epochs": 3, "train__global_batch": 24, "train__group": 4, "optim__lr": 1e-4}  # 60 steps
SILENCE, PACE = 5.0, 6.0
NOTICE = 8.0  # seconds from a fault to the end of the other hosts' ranks: silence, and the pauses between two looks
AGAIN = 75.0  # to new ranks: NOTICE, 15 s in which torch counts a lost host as there, 30 s in which others may join

FAULTS: dict[str, Callable[[Host], None]] = {
    "dies": Host.vanish,
    "hangs": lambda host: host.signal(signal.SIGSTOP),
    "loses its network": Host.unplug,
}


class Elastic(Cluster):
    """An elastic run that takes 6 s a step, until `hurry`."""

    def begin(self, *those: Host) -> None:
        """Start these hosts' agents."""
        for host in those:
            self.start(host, {"what": "slow", "seconds": PACE, "until": str(self.out.with_name("hurry"))})

    def hurry(self) -> None:
        """Take the rest of the steps at full speed."""
        self.out.with_name("hurry").touch()

    def wait_for_processes(self, count: int) -> None:
        """Until so many ranks, over all hosts, have begun the run together."""
        end, seen, before = time.monotonic() + PATIENCE, list[int](), 0
        while len(seen) != count or len(starts(self.out)) == before:
            assert time.monotonic() < end, f"{len(seen)} of {count} ranks, {before} starts"
            time.sleep(0.1)
            if (ranks := [rank for host in self.hosts for rank in self.ranks(host)]) != seen:
                seen, before = ranks, len(starts(self.out))

    def wait_for_checkpoint(self, step: int) -> None:
        """Until a checkpoint of this or a later step is on the disk."""
        end = time.monotonic() + PATIENCE
        while self.saved() < step:
            assert time.monotonic() < end, f"no checkpoint of step {step}"
            time.sleep(0.1)

    def saved(self) -> int:
        """The step of the newest checkpoint on the disk."""
        return max((names.age(path.name) for path in (self.out / "checkpoints").glob("*.pt")), default=(0, 0))[1]

    def assert_whole(self, alone: list[float], *those: Host) -> None:
        """The run ends well on these hosts, with each step once, and with the losses of one process."""
        for host in those:
            code, output = self.ended(host)
            assert code == 0, output
        np.testing.assert_allclose(losses(self.out), alone, rtol=1e-3)


def strike(run: Elastic, faults: dict[Host, str], survivor: Host) -> None:
    """Let hosts be lost after a checkpoint; hold the time until the others notice and go on, and what is lost."""
    run.wait_for_checkpoint(4)
    begun, ranks = len(starts(run.out)), run.ranks(survivor)
    assert len(ranks) == 1
    saved = run.saved()
    began = time.time()
    for host, what in faults.items():
        FAULTS[what](host)
    struck = time.time()
    wait_until_gone(ranks)
    noticed, done = time.time() - began, steps_done(run.out)
    while not run.ranks(survivor):
        time.sleep(0.1)
    again = time.time() - struck
    run.wait_for_starts(begun + 1)
    resumed = starts(run.out)[begun]["step"]
    lost = done - resumed
    sys.stdout.write(f"{', '.join(faults.values())}: {noticed:.1f} s, new ranks {again:.1f} s, {lost} steps lost\n")
    assert noticed < NOTICE + struck - began
    assert again < AGAIN
    assert resumed >= saved
    assert lost <= SAVED
