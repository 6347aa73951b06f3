"""Commands that are run in forked children, how each ended, and what is wrong with that whatever the input was."""

import os
import sys
import tempfile
from collections.abc import Collection
from multiprocessing import get_context
from pathlib import Path
from typing import IO, NamedTuple

from headrace import cli

SECONDS = 60  # that a command may take; the slowest takes 5
TIMED_OUT = -1000
_START = "headrace: error: "


class Answer(NamedTuple):
    """How a command ended."""

    words: tuple[str, ...]
    code: int  # below 0: the signal that ended it, or TIMED_OUT
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr

    def __str__(self) -> str:
        return f"`headrace {' '.join(self.words)}` ended with {self.code}:\n{self.text}"


def ask(*words: str | Path, room: Path, before: object = None) -> Answer:
    """Run `headrace WORDS` in a child of this process, which has loaded all that a command needs.

    The child's home, its temporary folder and its current folder lie in `room`. `before` is called in it first.
    """
    given = tuple(map(str, words))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = get_context("fork").Process(target=_carry_out, args=(given, room, out, err, before))
        child.start()
        child.join(SECONDS)
        code = child.exitcode
        if code is None:
            child.kill()
            child.join()
        child.close()
        return Answer(given, TIMED_OUT if code is None else code, _text(out), _text(err))


def _carry_out(words: tuple[str, ...], room: Path, out: IO[bytes], err: IO[bytes], before: object) -> None:
    """What the child does; it ends with the command's exit code, or with a traceback."""
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # also where pytest has put its own in their place
    for variable, name in (("HOME", "home"), ("TMPDIR", "tmp")):
        (room / name).mkdir(exist_ok=True)
        os.environ[variable] = str(room / name)
    tempfile.tempdir = None
    os.chdir(room / "home")
    if callable(before):
        before()
    cli.main(words, prog_name="headrace")


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "backslashreplace")


def faults_of(answer: Answer, names: Collection[str], codes: Collection[int] = (0, 2, 3)) -> list[str]:
    """What is wrong with an answer of whatever command to whatever input; the line of an error has one of the names."""
    errors = [line for line in answer.stderr.splitlines() if line.startswith(_START)]
    seen = {
        "took too long": answer.code == TIMED_OUT,
        "ended by a signal": TIMED_OUT < answer.code < 0,
        f"none of the exit codes {codes}": answer.code >= 0 and answer.code not in codes,
        "a traceback": "Traceback" in answer.text,
        "raw control characters": not all(line.isprintable() for line in answer.text.split("\n")),
        "not one line of error": len(errors) != (answer.code > 0),
        "no line names the file": answer.code > 0 and not any(name in answer.text for name in names),
    }
    return [f"{what}: {answer}" for what, is_so in seen.items() if is_so]
