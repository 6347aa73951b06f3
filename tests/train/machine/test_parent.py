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
    """A shell that starts a rank, which loads while `wait` holds, and ends when its input does."""
    name = "HEADRACE_LAUNCHER=$$" if passed_on else ""
    words = ["/bin/sh", "-c", f'{name} "$0" -c "$1" & read end', sys.executable]
    command = [*words, textwrap.dedent(LOADING.format(wait=wait))]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def rest_after(shell: "subprocess.Popen[str]", *lines: str) -> str:
    """What the rank still says after these lines, when its parent has ended. It must end itself within SECONDS."""
    assert shell.stdout is not None
    assert [shell.stdout.readline().strip() for _ in lines] == list(lines)
    return shell.communicate(timeout=SECONDS)[0]


@pytest.mark.parametrize("passed_on", [True, False], ids=["launcher", "torchrun"])
def test_rank_ends_with_its_parent(passed_on: bool) -> None:
    """A rank goes on while its parent lives, and ends when that does."""
    assert rest_after(parent_of("False", passed_on=passed_on), "loading", "ready") == ""


@pytest.mark.parametrize("passed_on", [True, False], ids=["launcher", "torchrun"])
def test_rank_ends_if_its_parent_ended_while_it_loaded(passed_on: bool) -> None:
    """A parent that ended before the rank asked the kernel for a signal is missed too."""
    assert rest_after(parent_of("os.getppid() == first", passed_on=passed_on), "loading") == ""


def test_rank_whose_launcher_has_ended_ends_first_of_all() -> None:
    """Nothing is checked, loaded or said any more: it ends before the command looks at its arguments."""
    command = ["/bin/sh", "-c", 'HEADRACE_LAUNCHER=$$ "$0" -P -m headrace train gone-set &', sys.executable]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=SECONDS)
    assert (ended.stdout, ended.stderr) == ("", "")
