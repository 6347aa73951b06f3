"""Starts N ranks of a worker script, as torchrun sets them up, and waits for them."""

import os
import socket
from pathlib import Path

from tests import warm
from tests.checkout import ROOT, SEARCH


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rank_environment(rank: int, size: int, port: int) -> dict[str, str]:
    """The environment of one rank."""
    return {
        **os.environ,
        "PYTHONPATH": SEARCH,
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def run_ranks(script: str, size: int, *arguments: str | Path, timeout: float = 300) -> None:
    """Run tests/ddp/SCRIPT in `size` ranks; an error in any of them is the test's."""
    path, port = str(ROOT / "tests" / "ddp" / script), free_port()
    given = list(map(str, arguments))
    ranks = warm.run([warm.Job(path, given, rank_environment(rank, size, port)) for rank in range(size)], timeout)
    for number, rank in enumerate(ranks):
        if rank.code:
            raise AssertionError(f"rank {number} of {size} ended with {rank.code}:\n{rank.output}{rank.errors}")
