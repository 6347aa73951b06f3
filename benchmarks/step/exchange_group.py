"""Starts the ranks whose exchange of gradients is measured, on one host or several; hosts are network namespaces."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from benchmarks.harness.paths import ROOT
from benchmarks.harness.processes import ENVIRONMENT, child

RANK, PORT = str(Path(__file__).with_name("exchange_rank.py")), 29555


class Group:
    """Ranks that wait for lines; the command of each begins with one of `prefixes`."""

    def __init__(self, stack: ExitStack, prefixes: Sequence[Sequence[str]], address: str, *network: int) -> None:
        size = len(prefixes)
        self.size, self._ranks = size, []
        for rank, prefix in enumerate(prefixes):
            names = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
            where = {"MASTER_ADDR": address, "MASTER_PORT": PORT}
            environment = {**ENVIRONMENT, **{name: str(value) for name, value in (names | where).items()}}
            command = [*prefix, *child(RANK, "obey", *network)]
            process = Popen(command, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            self._ranks.append(process)

    def ask(self, *words: object) -> Any:
        """Send a line to rank 0; return its answer."""
        first = self._ranks[0]
        if first.stdin is None or first.stdout is None:
            raise RuntimeError("rank 0 has no pipes")
        first.stdin.write(" ".join(map(str, words)) + "\n")
        first.stdin.flush()
        for line in first.stdout:
            if line.startswith(("{", "[")) or line[:1].isdigit():
                return json.loads(line)
        raise RuntimeError("a rank ended; its message is above")


@contextmanager
def on_hosts(size: int, side: int, batch: int) -> Iterator[tuple[Group, list[Any]]]:
    """A context with a rank on each of this many hosts."""
    from tests.hosts import hosts

    with hosts(size) as made, ExitStack() as stack:
        yield Group(stack, [host.prefix for host in made], made[0].address, side, batch), made


def throttle(host: Any, megabits: int) -> None:
    """Limit the rate at which the host sends to this many megabits per second."""
    burst = f"{max(64, megabits // 4)}kb"
    words = ("qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", f"{megabits}mbit", "burst", burst)
    done = Popen([*host.prefix, "tc", *words, "latency", "100ms"]).wait()
    if done:
        raise RuntimeError(f"tc ended with {done}")
