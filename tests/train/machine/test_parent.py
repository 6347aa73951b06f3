import subprocess
import sys
import textwrap

import pytest

from tests.checkout import ROOT

LOADING = """
    import os, time
    from headrace.train.machine import parent
    first = os.getppid()
    print("loading", flush=True)
    while {wait}:
        time.sleep(0.01)
    parent.stop_with_parent()
    print("ready", flush=True)
    time.sleep(60)
"""
SECONDS = 30


def parent_of(wait: str, *, passed_on: bool) -> "subprocess.Popen[str]":
    """Start a shell that starts a rank, which loads while `wait` holds. The shell ends with its input."""
    name = "HEADRACE_LAUNCHER=$$" if passed_on else ""
    words = ["/bin/sh", "-c", f'{name} "$0" -c "$1" & read end', sys.executable]
    command = [*words, textwrap.dedent(LOADING.format(wait=wait))]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def rest_after(shell: "subprocess.Popen[str]", *lines: str) -> str:
    """Return the rank's output after these lines and the end of its parent. It must end within SECONDS."""
    assert shell.stdout is not None
    assert [shell.stdout.readline().strip() for _ in lines] == list(lines)
    return shell.communicate(timeout=SECONDS)[0]


@pytest.mark.parametrize("passed_on", [True, False], ids=["launcher", "torchrun"])
def test_rank_ends_with_its_parent(passed_on: bool) -> None:
    """A rank runs while its parent lives, and ends with it."""
    assert rest_after(parent_of("False", passed_on=passed_on), "loading", "ready") == ""


@pytest.mark.parametrize("passed_on", [True, False], ids=["launcher", "torchrun"])
def test_rank_ends_if_its_parent_ended_while_it_loaded(passed_on: bool) -> None:
    """A rank also notices a parent that ended before the rank requested a signal from the kernel."""
    assert rest_after(parent_of("os.getppid() == first", passed_on=passed_on), "loading") == ""


def test_rank_whose_launcher_has_ended_ends_first_of_all() -> None:
    """Such a rank ends before the command reads its arguments, without any check or output."""
    command = ["/bin/sh", "-c", 'HEADRACE_LAUNCHER=$$ "$0" -P -m headrace train gone-set &', sys.executable]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=SECONDS)
    assert (ended.stdout, ended.stderr) == ("", "")
