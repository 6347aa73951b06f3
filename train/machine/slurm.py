"""Turns a task of a SLURM job step into a rank: `srun headrace train --launcher slurm`, without torchrun.

SLURM's variables are used only with this option. SLURM also sets them in batch scripts and in the shells of salloc,
where the user wants a single process.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from headrace.shards.errors import UsageError

_TASKS = "SLURM_STEP_NUM_TASKS"
_FIRST_PORT, _PORTS = 20_000, 12_000  # below 32,768, where Linux begins to assign ports to connections
_HEAD = re.compile(r"(?:[^,\[\]]|\[[^\]]*\])+")  # up to the first comma outside brackets
_NUMBERS = re.compile(r"\[(\d+)[^\]]*\]")  # [01-03,7]
_PART = re.compile(r"(\d+)(?:\(x(\d+)\))?")  # 2 or 2(x3): tasks of a host, and the number of consecutive hosts


class Task(NamedTuple):
    """A task of a SLURM job step, described as a rank; all ranks connect to port `port` of `main`, rank 0's host."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    main: str
    port: int


def task_of(environment: Mapping[str, str]) -> Task:
    """Return the task of this process, read from SLURM's variables. Raises UsageError outside a job step."""
    try:
        port = 31 * int(environment["SLURM_JOB_ID"]) + int(environment["SLURM_STEP_ID"])
        return Task(
            rank=int(environment["SLURM_PROCID"]),
            size=int(environment[_TASKS]),
            local_rank=int(environment["SLURM_LOCALID"]),
            local_size=tasks_of_host(environment["SLURM_STEP_TASKS_PER_NODE"], int(environment["SLURM_NODEID"])),
            main=first_host(environment["SLURM_STEP_NODELIST"]),
            port=_FIRST_PORT + port % _PORTS,
        )
    except (KeyError, ValueError) as error:
        why = f"{error.args[0]} is not set" if isinstance(error, KeyError) else error
        raise UsageError(
            f"--launcher slurm was given, but this process is not a task of a SLURM step ({why}). "
            "Start the command with srun"
        ) from error


def refuse_several(environment: Mapping[str, str]) -> None:
    """Raise UsageError if the SLURM step has several tasks, because each task would carry out the whole run."""
    tasks = environment.get(_TASKS, "1")
    if tasks.isdecimal() and int(tasks) > 1:
        raise UsageError(
            f"this process is one of {tasks} tasks of a SLURM step, and each task would carry out the whole run. Start "
            "one torchrun per host: srun --ntasks-per-node=1 torchrun ... --no-python headrace train SHARDS ...; or "
            f"use SLURM's tasks as ranks: srun --ntasks={tasks} headrace train SHARDS ... --launcher slurm"
        )


def first_host(listed: str) -> str:
    """Return the first host of a list in SLURM's notation: "node01" for "node[01-03,7],other".

    Raises ValueError if the list is empty or not in this notation.
    """
    found = _HEAD.match(listed)
    host = _NUMBERS.sub(r"\1", found[0]) if found else ""
    if not host or "[" in host:
        raise ValueError(f"no host name in the list {listed!r}")
    return host


def tasks_of_host(listed: str, host: int) -> int:
    """Return the number of tasks on host number `host`: "2(x3),1" means 2 on each of hosts 0 to 2, and 1 on host 3."""
    counts = [int(count) for count, times in _PART.findall(listed) for _ in range(int(times or 1))]
    if host >= len(counts):
        raise ValueError(f"no host {host} (counted from 0) in the list {listed!r} of tasks per host")
    return counts[host]
