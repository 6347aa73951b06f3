"""Processes that start warm: forked from one that has loaded torch, DALI and the product, which takes seconds.

What they do is theirs alone, as in a process that an interpreter starts: arguments, environment, output, end.
"""

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.checkout import SEARCH


class Job(NamedTuple):
    """A script (by its path) or a module to run, its arguments, and the whole environment of its process."""

    script: str
    arguments: list[str]
    environment: dict[str, str]


class Ended(NamedTuple):
    """How a process ended: its exit code, -N after signal N, and what it wrote."""

    code: int
    output: str
    errors: str


def run(jobs: Sequence[Job], timeout: float) -> list[Ended]:
    """Run the jobs side by side, each in a process of its own, to the end of all. TimeoutError: none is left then."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, str(number)) for number in range(len(jobs))]
        codes = _server().run(jobs, outputs, timeout)
        return [Ended(code, *_written(output)) for code, output in zip(codes, outputs, strict=True)]


def _written(output: Path) -> tuple[str, str]:
    """What a process wrote to standard output and to standard error."""
    return output.read_text("utf-8", "replace"), _errors(output).read_text("utf-8", "replace")


def _errors(output: Path) -> Path:
    return output.with_suffix(".errors")


class _Server:
    """The process that forks, seen from the tests. It ends when they do: its standard input is closed then."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.warm"],
            env={**os.environ, "PYTHONPATH": SEARCH},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, jobs: Sequence[Job], outputs: Sequence[Path], timeout: float) -> list[int]:
        """Exit codes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = [(*job, str(output)) for job, output in zip(jobs, outputs, strict=True)]
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            os.killpg(self._process.pid, signal.SIGKILL)
            _server.cache_clear()
            raise TimeoutError(f"{jobs[0].script} ran for more than {timeout:g} s:\n{_written(outputs[0])}")
        codes: list[int] = json.loads(self._process.stdout.readline())
        return codes


@cache
def _server() -> _Server:
    return _Server()


def _serve() -> None:
    """Answer each line of jobs with the exit codes. A forked process comes out of here by SystemExit."""
    for line in sys.stdin:
        children = []
        for script, arguments, environment, output in json.loads(line):
            child = os.fork()
            if not child:
                _become(script, arguments, environment, output)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


def _become(script: str, arguments: list[str], environment: dict[str, str], output: str) -> None:
    import runpy

    for number, path in ((1, Path(output)), (2, _errors(Path(output)))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [script, *arguments]
    if "triton._C" in sys.modules:  # of torch's builds for CUDA; it reports what is left at the end as leaked
        atexit.register(gc.unfreeze)
    if script.endswith(".py"):
        runpy.run_path(script, run_name="__main__")
    else:
        runpy.run_module(script, run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    import torch._dynamo  # noqa: F401  the first optimizer of a process loads it, which takes 1.4 s

    import headrace.train.input.decode.cpu
    import headrace.train.run.training  # noqa: F401

    gc.freeze()  # else each fork goes through and so copies all these objects when it ends, which takes a second
    _serve()
