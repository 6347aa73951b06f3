"""Standard streams that are lost, tested in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkout import SEARCH

Lose = Callable[[int], None]
BEGIN = "import os, sys\nfrom headrace.shards import streams\nstreams.make_lasting()\n"
LINES = """
for stream in (sys.stdout, sys.stderr):
    for number in range(3):
        print("line", number, "\xe4" * 10_000, file=stream)  # not flushed: the interpreter's own end does that
"""


def closed(number: int) -> None:
    """Close the descriptor."""
    os.close(number)


def full(number: int) -> None:
    """Make the descriptor lead to a device that is always full."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), number)


def unread(number: int) -> None:
    """Make the descriptor lead to a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, number)


def ended(script: str, lose: Lose = closed, numbers: tuple[int, ...] = ()) -> tuple[int, str]:
    """The exit code of a script whose process has lost these descriptors, and the output of the others."""

    def prepare() -> None:
        for number in numbers:
            lose(number)

    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        env={**os.environ, "PYTHONPATH": SEARCH, "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=prepare,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("lose", [closed, full, unread], ids=lambda lose: lose.__name__)
@pytest.mark.parametrize("numbers", [(1,), (2,), (1, 2), (0, 1, 2)], ids=str)
def test_work_and_exit_code_do_not_depend_on_the_streams(lose: Lose, numbers: tuple[int, ...], tmp_path: Path) -> None:
    """With any stream lost, the work is done and the exit code unchanged; the other streams are complete."""
    work = f"open({str(tmp_path / 'done')!r}, 'w').write('done'); sys.exit(3)"
    code, printed = ended(LINES + work, lose, numbers)
    assert code == 3
    assert (tmp_path / "done").read_text() == "done"
    lines = [f"line {number} " + "\xe4" * 10_000 for number in range(3)]
    assert printed.splitlines() == lines * len({1, 2} - set(numbers))


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What a library writes to descriptors 1 and 2 itself never ends up in files opened later."""
    path = tmp_path / "file"
    script = f"files = [open({str(path)!r}, 'w') for _ in range(3)]; os.write(1, b'printed'); os.write(2, b'printed')"
    assert ended(script, closed, (0, 1, 2)) == (0, "")
    assert path.read_text() == ""


def test_pipe_that_does_not_block_gets_everything() -> None:
    """A non-blocking pipe, as some programs leave behind, gets each line whole."""
    code, printed = ended("os.set_blocking(1, False)\nfor _ in range(100): print('x' * 9_999)")
    assert (code, len(printed)) == (0, 1_000_000)


@pytest.mark.parametrize(("lose", "code", "words"), [(unread, 0, ""), (closed, 0, ""), (full, 1, "No space left")])
def test_result_that_is_not_written_whole_is_an_error(lose: Lose, code: int, words: str) -> None:
    """A reader may stop reading what a command only reports, but a full disk is an error."""
    script = "from headrace import cli; sys.argv[1:] = ['recipes']; cli.main()"
    seen, printed = ended(script, lose, (1,))
    assert (seen, len(printed.splitlines())) == (code, code)
    assert words in printed
