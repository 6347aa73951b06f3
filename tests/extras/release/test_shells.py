"""Completion in real shells: zsh on a terminal, where a key is pressed, and fish, which says what it would offer."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checkout import ROOT

SECONDS = 60  # for a shell and a command to start on a busy machine
CASES = [
    pytest.param("headrace trai", "train", id="command"),
    pytest.param("headrace train set --recipe dem", "demo", id="recipe"),
    pytest.param("headrace train set --set train.epo", "train.epochs=", id="key"),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a shell starts with: `headrace` on its path, and a home without settings."""
    command = tmp_path / "bin/headrace"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m headrace "$@"\n', "utf-8")
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), "/usr/bin", "/bin"])
    return {"PATH": path, "HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}/.src", "TERM": "dumb", "LANG": "C.UTF-8"}


def shell(name: str) -> str:
    """The path of a shell, which tests/extras/release/apt.txt brings."""
    found = shutil.which(name)
    assert found, f"{name} is not installed"
    return found


class Terminal:
    """A zsh without settings of its own, on a terminal."""

    def __init__(self, environment: dict[str, str]) -> None:
        own, other = pty.openpty()
        self._zsh = subprocess.Popen(
            [shell("zsh"), "-f", "-i"], stdin=other, stdout=other, stderr=other, env=environment, start_new_session=True
        )
        os.close(other)
        self._terminal, self._seen = own, ""

    def type(self, keys: str) -> None:
        """Press keys; what was seen before is forgotten."""
        self._seen = ""
        os.write(self._terminal, keys.encode())

    def sees(self, pattern: str) -> str:
        """What is on the terminal once it has the pattern, or after a while without it."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not re.search(pattern, self._seen):
            if select.select([self._terminal], [], [], 0.1)[0]:
                self._seen += os.read(self._terminal, 4096).decode(errors="replace")
        return self._seen

    def close(self) -> None:
        """End the shell."""
        self._zsh.kill()
        self._zsh.wait()
        os.close(self._terminal)


@pytest.mark.parametrize(("typed", "completed"), CASES)
def test_zsh_completes(environment: dict[str, str], typed: str, completed: str) -> None:
    """After the line of docs/compatibility.md, for zsh, the tab key completes the last word."""
    terminal = Terminal(environment)
    try:
        terminal.type('autoload -Uz compinit && compinit -u -D; eval "$(_HEADRACE_COMPLETE=zsh_source headrace)"\n')
        terminal.type("echo $((6 * 7)) | sed s/^/ready:/\n")
        assert "ready:42" in terminal.sees("ready:42")
        terminal.type(f"{typed}\t")
        line = re.escape(typed.rpartition(" ")[0]) + " " + re.escape(completed)
        assert re.search(line, terminal.sees(line))
    finally:
        terminal.close()


@pytest.mark.parametrize(("typed", "completed"), CASES)
def test_fish_completes(environment: dict[str, str], typed: str, completed: str) -> None:
    """After the line of docs/compatibility.md, for fish, the last word has this one completion."""
    program = f"_HEADRACE_COMPLETE=fish_source headrace | source; complete -C {shlex.quote(typed)}"
    command = [shell("fish"), "--no-config", "-c", program]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=SECONDS)
    assert [line.partition("\t")[0] for line in ran.stdout.splitlines()] == [completed]
