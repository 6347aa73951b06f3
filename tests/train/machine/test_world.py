from pathlib import Path

import pytest
import torch
from torch import nn

from headrace.shards.errors import UsageError
from headrace.train.machine import world
from headrace.train.machine.lost_rank import LostRankError
from headrace.train.machine.rendezvous import AbsentError
from headrace.train.machine.votes import Votes, Wishes
from headrace.train.machine.world import World

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove all traces of a launcher from the environment."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_alone_without_launcher(bare: pytest.MonkeyPatch) -> None:
    """Without a launcher the process is rank 0 of 1, even if a scheduler sets WORLD_SIZE."""
    bare.setenv("WORLD_SIZE", "4")
    found = World.from_environment()
    assert (found.rank, found.size, found.is_main, World.launched()) == (0, 1, True, False)


def test_ranks_are_torchruns(bare: pytest.MonkeyPatch) -> None:
    """The variables that torchrun sets are used."""
    for name, value in zip(NAMES, ("5", "8", "1", "4"), strict=True):
        bare.setenv(name, value)
    found = World.from_environment()
    assert (found.rank, found.size, found.local_rank, found.local_size) == (5, 8, 1, 4)
    assert not found.is_main


@pytest.mark.parametrize(("name", "value"), [("WORLD_SIZE", None), ("LOCAL_RANK", "first")])
def test_half_an_environment_is_refused(bare: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    """An incomplete RANK environment, or words in it, is refused with advice."""
    for one in NAMES:
        bare.setenv(one, "0")
    if value is None:
        bare.delenv(name)
    else:
        bare.setenv(name, value)
    with pytest.raises(UsageError, match="Start with torchrun"):
        World.from_environment()


def test_one_process_needs_nobody() -> None:
    """A world of one sums, waits, votes and wraps without a process group."""
    alone, network = World(), nn.Linear(2, 2)
    with alone.joined("gloo", 1):
        assert alone.sum(torch.tensor([3.0])).tolist() == [3.0]
        assert alone.from_main({"a": 1}) == {"a": 1}
        assert alone.wrap(network, None) is network
        votes = Votes(alone)
        assert votes.cast(Wishes(15, save=True)) == Wishes(15, save=True)
        assert votes.now(Wishes(2)) == Wishes(2)
        assert votes.heard() == Wishes()
    assert not torch.distributed.is_initialized()


GLOO = "[/sources/third_party/gloo/gloo/transport/tcp/"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("NCCL was not compiled in"),
        RuntimeError("cannot import gloo"),
        RuntimeError("Timed out: the decoder gave no image"),
        RuntimeError("Connection reset by peer: weights were not downloaded"),
        RuntimeError(f"[enforce fail at {GLOO[1:]}device.cc:84] ifa != nullptr. Unable to find address for: eth7"),
        TimeoutError("timed out waiting for a lock"),
        ZeroDivisionError("gloo"),
    ],
    ids=str,
)
def test_own_error_is_not_blamed_on_another_rank(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """An error that only mentions collectives or time is raised unchanged."""
    monkeypatch.setattr(World, "_meet", lambda *_: None)
    with pytest.raises(type(error)) as raised, World(rank=1, size=2).joined("gloo", 1):
        raise error
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(f"{GLOO}unbound_buffer.cc:78] Timed out waiting 6000ms for recv operation to complete"),
        RuntimeError(f"{GLOO}pair.cc:553] Connection closed by peer [127.0.0.1]:3273. This is typically caused by"),
        RuntimeError(f"Gloo connectFullMesh failed with {GLOO}pair.cc:144] timed out connecting"),
        torch.distributed.DistBackendError("NCCL communicator was aborted on rank 1"),
        torch.distributed.DistNetworkError("The client socket has timed out after 2000ms"),
        AbsentError("timed out waiting for rank 0 to start"),
    ],
    ids=str,
)
def test_error_of_a_collective_is_another_ranks(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Errors of gloo, NCCL and stores about a lost or silent rank are reported as that rank's failure."""
    monkeypatch.setattr(World, "_meet", lambda *_: None)
    with pytest.raises(LostRankError, match="rank 1: ") as raised, World(rank=1, size=2).joined("gloo", 1):
        raise error
    assert raised.value.__cause__ is error


def test_rank_that_nobody_meets_blames_the_others(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A rank that waits alone for the time-out ends with an error that says so."""
    for name, value in World.environment(0, 2, str(tmp_path / "store")).items():
        bare.setenv(name, value)
    waited = r"kept rank [01] waiting for 0\.005 minutes"
    with pytest.raises(LostRankError, match=waited), World.from_environment().joined("gloo", 0.005):
        pass
    assert not torch.distributed.is_initialized()


def test_interface_that_is_not_there_is_this_ranks_error(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If gloo cannot listen, no other rank has failed, although the message names gloo."""
    for name, value in World.environment(0, 2, str(tmp_path / "store")).items():
        bare.setenv(name, value)
    bare.setenv("GLOO_SOCKET_IFNAME", "no-such-one")
    with pytest.raises(RuntimeError, match="no-such-one"), World.from_environment().joined("gloo", 0.005):
        pass


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Simulate a machine of eight cores."""
    monkeypatch.setattr(world, "usable_cores", lambda: 8)
    return monkeypatch


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize(
    ("local", "wanted", "threads"), [(1, None, 8), (2, None, 4), (3, None, 2), (20, None, 1), (4, 6, 6)]
)
def test_threads_are_an_even_share(local: int, wanted: int | None, threads: int) -> None:
    """Ranks of a machine share its cores evenly, at least one each, unless a number is requested."""
    assert World(size=local, local_size=local).threads(wanted) == threads
