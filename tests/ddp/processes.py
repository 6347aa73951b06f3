"""Starts N ranks of a worker script, as torchrun sets them up, and waits for them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rank_environment(rank: int, size: int, port: int) -> dict[str, str]:
    """The environment of one rank."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def run_ranks(script: str, size: int, *arguments: str | Path, timeout: float = 300) -> None:
    """Run tests/ddp/SCRIPT in `size` ranks; an error in any of them is the test's."""
    port = free_port()
    command = [sys.executable, str(ROOT / "tests" / "ddp" / script), *map(str, arguments)]
    ranks = [
        subprocess.Popen(
            command,
            env=rank_environment(rank, size, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        outputs = [rank.communicate(timeout=timeout)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    for number, (rank, output) in enumerate(zip(ranks, outputs, strict=True)):
        if rank.returncode:
            raise AssertionError(f"rank {number} of {size} ended with {rank.returncode}:\n{output}")
