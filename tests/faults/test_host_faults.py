"""Hosts of elastic runs that die, hang, lose their network, join and leave, one or two at a time."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import PATIENCE, starts, wait_until_gone
from tests.faults.elastic import CALM, SAVED, SILENCE, Elastic, strike
from tests.faults.runs import arguments, complete, losses, steps_done
from tests.hosts import Host, hosts

pytestmark = [pytest.mark.faults, pytest.mark.timeout(2400)]


@pytest.fixture
def made() -> Iterator[list[Host]]:
    """Four hosts, of which a test uses as many as it needs."""
    with hosts(4) as those:
        yield those


@pytest.fixture(scope="module")
def alone(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of the run on one process, which nothing disturbs."""
    out = tmp_path_factory.mktemp("alone") / "run"
    complete(arguments(tiny_set, out, runtime__checkpoint_steps=None, **CALM), PATIENCE)
    return losses(out)


@pytest.fixture
def run(tiny_set: Path, tmp_path: Path) -> Iterator[Elastic]:
    """An elastic run that saves every two steps."""
    out = tmp_path / "run"
    values = {"runtime__silent_seconds": SILENCE, "runtime__checkpoint_steps": SAVED}
    given = arguments(tiny_set, out, "--resume", "auto", **CALM, **values)
    with Elastic(out, given, "1:4", restarts=9) as cluster:
        yield cluster


@pytest.mark.parametrize("what", ["dies", "hangs"])
def test_host_is_lost_and_comes_back(run: Elastic, made: list[Host], alone: list[float], what: str) -> None:
    """The other host notices within seconds and goes on alone from the last checkpoint; later both go on together."""
    first, second = made[:2]
    run.begin(first, second)
    run.wait_for_starts(1)
    strike(run, {second: what}, first)
    second.plug()
    if what == "hangs":
        second.signal(signal.SIGCONT)
    else:
        run.begin(second)
    run.wait_for_processes(2)
    run.hurry()
    run.assert_whole(alone, first, second)


def test_two_hosts_are_lost_at_once(run: Elastic, made: list[Host], alone: list[float]) -> None:
    """Of three hosts one dies and one hangs in the same moment: the third continues alone, later all three together."""
    first, second, third = made[:3]
    run.begin(first, second, third)
    run.wait_for_processes(3)
    strike(run, {second: "dies", third: "hangs"}, first)
    second.plug()
    third.signal(signal.SIGCONT)
    run.begin(second)
    run.wait_for_processes(3)
    run.hurry()
    run.assert_whole(alone, first, second, third)


def test_host_loses_its_network(run: Elastic, made: list[Host], alone: list[float]) -> None:
    """The other host continues alone; when the network is back, both continue together."""
    first, second = made[:2]
    run.begin(first, second)
    run.wait_for_processes(2)
    strike(run, {second: "loses its network"}, first)
    second.plug()
    run.wait_for_processes(2)
    run.hurry()
    run.assert_whole(alone, first, second)


def test_host_of_the_rendezvous_dies(run: Elastic, made: list[Host], alone: list[float]) -> None:
    """All agents end with exit code 1 once TCP gives up; started again, they continue from the last checkpoint."""
    first, second = made[:2]
    second.lose_patience()
    run.begin(first, second)
    run.wait_for_processes(2)
    run.wait_for_checkpoint(4)
    ranks, saved, began = run.ranks(second), run.saved(), time.time()
    first.vanish()
    wait_until_gone(ranks)
    noticed, done = time.time() - began, steps_done(run.out)
    code, output = run.ended(second)
    sys.stdout.write(f"rendezvous: ranks ended after {noticed:.1f} s, the agent after {time.time() - began:.1f} s\n")
    assert code == 1, output
    begun = len(starts(run.out))
    first.plug()
    run.begin(first, second)
    run.wait_for_starts(begun + 1)
    resumed = starts(run.out)[begun]["step"]
    assert resumed >= saved
    assert done - resumed <= SAVED
    run.hurry()
    run.assert_whole(alone, first, second)


def test_run_grows_and_shrinks(run: Elastic, made: list[Host], alone: list[float]) -> None:
    """One host, then two, then four, then two again: the samples and updates are those of one process."""
    first, second, third, fourth = made
    run.begin(first)
    run.wait_for_processes(1)
    run.begin(second)
    run.wait_for_processes(2)
    run.begin(third, fourth)
    run.wait_for_processes(4)
    strike(run, {third: "dies", fourth: "dies"}, first)
    assert len(run.ranks(second)) == 1
    run.hurry()
    run.assert_whole(alone, first, second)
