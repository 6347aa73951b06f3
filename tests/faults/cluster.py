"""A run on several hosts of a test: torchrun's agent on each, one rank each, and what became of the run."""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any, Self

from tests.faults.runs import WORKER, running, wait_for
from tests.hosts import Host

PORT = 29400
PATIENCE = 600.0


def torchrun(nodes: str, host: Host, first: Host, restarts: int = 0) -> tuple[str, ...]:
    """Torchrun with one rank on a host; the agents meet at the first one."""
    main = int(host == first)  # torch compares the endpoint with what its own name leads to, which is 127.0.1.1
    options = (f"--nnodes={nodes}", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-id=test")
    meeting = (f"--rdzv-conf=is_host={main}", f"--rdzv-endpoint={first.name}:{PORT}", f"--max-restarts={restarts}")
    return ("-m", "torch.distributed.run", *options, *meeting)


class Cluster:
    """Agents of one run; those that are left at the end are killed. `log` takes all that they write, if it is given."""

    def __init__(self, out: Path, given: Sequence[str], nodes: str, restarts: int = 0, log: Path | None = None) -> None:
        self.out, self._given, self._nodes, self._restarts, self._log = out, [*given], nodes, restarts, log
        self._stack = ExitStack()
        self.hosts: list[Host] = []
        self.agents: dict[str, Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, host: Host, fault: dict[str, Any] | None = None, **variables: str) -> "Popen[str]":
        """Start the agent of a host; all meet at the host whose agent was the first."""
        if host not in self.hosts:
            self.hosts.append(host)
        prefix = [*host.prefix, "env", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"]
        prefix += [f"{key}={value}" for key, value in variables.items()]
        launcher = torchrun(self._nodes, host, self.hosts[0], self._restarts)
        agent = self._stack.enter_context(running(self._given, *launcher, prefix=prefix, fault=fault, log=self._log))
        self.agents[host.name] = agent
        return agent

    def wait_for(self, step: int) -> None:
        """Until the run has logged a step; that the first agent ends before is an error."""
        wait_for(self.out, step, self.agents[self.hosts[0].name], PATIENCE)

    def wait_for_starts(self, count: int) -> float:
        """Until the run has begun for this time, counted from 1: when that was, in seconds since 1970."""
        end = time.monotonic() + PATIENCE
        while len(starts(self.out)) < count:
            assert time.monotonic() < end, f"{len(starts(self.out))} of {count} starts"
            time.sleep(0.1)
        return float(starts(self.out)[count - 1]["time"])

    def ranks(self, host: Host) -> list[int]:
        """The processes of a host that are ranks, and not its agent."""
        return [process for process in host.processes() if _is_rank(process)]

    def ended(self, host: Host) -> tuple[int, str]:
        """The exit code of a host's agent, and all that it and its ranks wrote."""
        agent = self.agents[host.name]
        output = "".join(agent.communicate(timeout=PATIENCE))
        return agent.returncode, output


def starts(out: Path) -> list[dict[str, Any]]:
    """The rows about starts of a run, the first one first."""
    path = out / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return [row for row in rows if row["kind"] == "start"]


def wait_until_gone(processes: Sequence[int], seconds: float = PATIENCE) -> None:
    """Until these processes have ended."""
    end = time.monotonic() + seconds
    while any(_is_rank(process) for process in processes):
        assert time.monotonic() < end, f"one of {processes} is still there"
        time.sleep(0.02)


def _is_rank(process: int) -> bool:
    """Whether a process is a rank that has not ended; the command line of one that has is empty."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(WORKER).encode() in words and b"torch.distributed.run" not in words
