"""Runs the real command, in a process of its own or, where it refuses before it starts anything, in this one."""

import os
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from headrace import cli
from tests import warm

SMALL = (
    "--recipe=demo",
    "--device=cpu",
    "--set=train.epochs=1",
    "--set=train.global_batch=24",
    "--set=train.group=12",
    "--set=evaluate.batch=10",
    "--set=runtime.threads=1",
    "--set=runtime.precision=fp32",
    "--set=runtime.verdict=false",
)
"""One epoch that takes a second."""
_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def headrace(*arguments: str | Path | int, env: dict[str, str] | None = None) -> Ended:
    """`headrace ARGUMENTS` in a process of its own, to its end."""
    whole = {key: value for key, value in os.environ.items() if key not in _LAUNCHER} | (env or {})
    (ended,) = warm.run([warm.Job("headrace", list(map(str, arguments)), whole)], timeout=200)
    return Ended(*ended)


def here(*arguments: str | Path | int) -> Ended:
    """The same in this process: it saves the seconds that loading torch and DALI takes."""
    result = CliRunner().invoke(cli.main, list(map(str, arguments)))
    return Ended(result.exit_code, result.stdout, result.stderr)


def refused(ended: Ended, code: int, *words: str) -> None:
    """The command ended with this code, nothing on standard output, and one clear line that has these words."""
    assert (ended.code, ended.stdout) == (code, ""), ended
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("headrace: error: ")
    for word in words:
        assert word in lines[0], lines[0]
