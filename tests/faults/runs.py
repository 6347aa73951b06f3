"""Runs of the command with a fault: in this process, in another, or under torchrun."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner, Result

from headrace import cli
from headrace.train.checkpoint import files
from tests.checkout import ROOT, SEARCH
from tests.ddp.processes import free_port

WORKER = ROOT / "tests" / "faults" / "worker.py"
VALUES = {
    "train.global_batch": 48,
    "train.group": 8,
    "train.epochs": 1,
    "runtime.device": "cpu",
    "runtime.threads": 1,
    "runtime.precision": "fp32",
    "runtime.log_every": 1,
    "runtime.checkpoint_steps": 2,
    "runtime.verdict": False,
}
STEPS = 10  # of an epoch of 480 samples


def arguments(shards: Path, out: Path, *more: str, **values: Any) -> list[str]:
    """`headrace train` with the demo recipe and VALUES; `train__epochs=2` changes one of them."""
    changed = VALUES | {key.replace("__", "."): value for key, value in values.items()}
    settings = [f"--set={key}={json.dumps(value)}" for key, value in changed.items() if value is not None]
    return ["train", str(shards), "--out", str(out), "--recipe", "demo", *settings, *more]


def here(*given: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli.main, given)


def start(
    given: list[str],
    *launcher: str,
    fault: dict[str, Any] | None = None,
    prefix: Sequence[str] = (),
    path: Sequence[Path] = (),
    log: Path | None = None,
) -> "subprocess.Popen[str]":
    """Start the command in a process of its own, or under a launcher, in a session of its own.

    `prefix` is what stands before the interpreter, `path` what stands first in its search path, `log` takes all output.
    """
    env = {key: value for key, value in os.environ.items() if key != "FAULT"}
    env["PYTHONPATH"] = os.pathsep.join(map(str, (*path, SEARCH)))
    if fault is not None:
        env["FAULT"] = json.dumps(fault)
    command = [*prefix, sys.executable, *launcher, str(WORKER), *given]
    with log.open("a") if log else nullcontext(subprocess.PIPE) as output:
        return subprocess.Popen(command, env=env, stdout=output, stderr=output, text=True, start_new_session=True)


@contextmanager
def running(*given: Any, **named: Any) -> Iterator["subprocess.Popen[str]"]:
    """`start`, and whatever is left of it at the end is killed."""
    process = start(*given, **named)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def complete(given: list[str], seconds: float = 280.0) -> None:
    """Run the command in a process of its own to its end, which must be a good one."""
    with running(given) as process:
        output, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, output + errors


def complete_on_two_agents(given: list[str], seconds: float = 280.0, fault: dict[str, Any] | None = None) -> str:
    """The output of both agents of torchrun, which count as two hosts although they share one; both end well."""
    meeting = ("--master-addr=127.0.0.1", f"--master-port={free_port()}")
    launcher = ("-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", *meeting)
    with ExitStack() as stack:
        agents = [stack.enter_context(running(given, *launcher, f"--node-rank={one}", fault=fault)) for one in range(2)]
        told = [agent.communicate(timeout=seconds) for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], told
    return "".join(output for output, _ in told)


def steps_done(out: Path) -> int:
    """The last step that the run's metrics speak of."""
    path = out / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"]
    return max((row["step"] for row in rows), default=0)


def wait_for(out: Path, step: int, process: "subprocess.Popen[str]", seconds: float = 120) -> None:
    """Wait until the run has logged a step; that it ends before is an error."""
    end = time.monotonic() + seconds
    while not (out / "metrics.jsonl").exists() or steps_done(out) < step:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}:\n{''.join(process.communicate())}")
        if time.monotonic() > end:
            raise AssertionError(f"no step {step} within {seconds} seconds")
        time.sleep(0.02)


def losses(out: Path) -> list[float]:
    """The loss of each step, which must be 1, 2, 3, ... without gap or double."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found = [row for row in rows if row["kind"] == "step"]
    values = [loss for row in found for loss in row["losses"]]
    assert found[-1]["step"] == len(values)
    return values


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, statistics, optimizer and losses of two finished runs are equal bit for bit."""
    first, second = files.load(one / "last.pt").state, files.load(other / "last.pt").state
    assert first["progress"]["step"] == second["progress"]["step"]
    for name, value in first["model"].items():
        if "num_batches_tracked" not in name:  # counts the dummy passes of each start too
            assert torch.equal(second["model"][name], value), name
    for number, kept in first["optimizer"]["state"].items():
        for name, value in kept.items():
            assert torch.equal(second["optimizer"]["state"][number][name], value), name
    assert losses(one) == losses(other)
    columns = [[line.split(",")[:6] for line in (run / "epochs.csv").read_text().splitlines()] for run in (one, other)]
    assert columns[0] == columns[1]


def one_line(result: Result, code: int, *words: str) -> None:
    """The command ended with this code, and with one line that has these words."""
    errors = result.stderr.strip().splitlines()
    assert (result.exit_code, len(errors)) == (code, 1), result.output
    assert errors[0].startswith("headrace: error: ")
    for word in words:
        assert word in errors[0], errors[0]
