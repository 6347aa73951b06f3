"""What commands show: a bar on a real terminal, JSON, next to nothing."""

import fcntl
import json
import os
import pty
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.train.record.folder import RunLog
from tests.checkout import ROOT, SEARCH
from tests.e2e.commands import SMALL, headrace, here, refused
from tests.train.record.test_console import seen

LONGER = ("--set=train.epochs=30", "--set=runtime.log_every=2")


def on_terminal(arguments: list[str], key: bytes = b"", after: bytes = b"") -> tuple[int, str]:
    """`headrace ARGUMENTS` on a terminal of its own: exit code and all that was written to it.

    `key` is pressed as soon as `after` has appeared.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.environ.update(TERM="xterm", PYTHONPATH=SEARCH)
        os.execv(sys.executable, [sys.executable, "-P", "-m", "headrace", *arguments])  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    written, end = b"", time.monotonic() + 200
    for part in parts(terminal):
        assert time.monotonic() < end
        written += part
        if key and after in written:
            os.write(terminal, key)
            key = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written.decode("utf-8")


def parts(terminal: int) -> Iterator[bytes]:
    """What is written to it, until the other side is closed."""
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # EIO: nobody has it open any more
            return
        if not part:
            return
        yield part


def test_terminal_has_a_bar_and_then_lines(tiny_set: Path, tmp_path: Path) -> None:
    """While an epoch goes on it shows steps, rate, loss and the time left; at the end there are only lines."""
    code, text = on_terminal(
        ["train", str(tiny_set), "--out", str(tmp_path / "run"), *SMALL, "--set=runtime.log_every=2"]
    )
    assert code == 0, text
    for words in ("/20 steps, ", " images/s, loss ", " left, run ", "evaluating"):
        assert words in text
    lines = seen(text)
    assert not [line for line in lines if " steps, " in line]
    assert lines[-1].startswith("best validation accuracy")
    assert [line for line in lines if "]: [1/1] Train Loss: " in line]


@pytest.mark.parametrize("nproc", ["1", pytest.param("2", marks=pytest.mark.faults)])
def test_ctrl_c_leaves_a_clean_terminal(tiny_set: Path, tmp_path: Path, nproc: str) -> None:
    """The key is pressed in the middle of an epoch: a save, a line, code 130, and nothing of the bar."""
    arguments = ["train", str(tiny_set), "--out", str(tmp_path / "run"), *SMALL, *LONGER, f"--nproc={nproc}"]
    code, text = on_terminal(arguments, key=b"\x03", after=b"[2/30]  ")
    assert code == 130, text
    lines = seen(text.replace("^C", ""))
    assert lines[-1] == "headrace: stopped by SIGINT"
    assert not [line for line in lines if " steps, " in line]
    assert (tmp_path / "run" / "last.pt").exists()


@pytest.fixture(scope="module")
def rows(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, object]]]:
    """A run with --json on two processes, and its rows."""
    out = tmp_path_factory.mktemp("json") / "run"
    result = headrace("train", tiny_set, "--out", out, *SMALL, "--nproc=2", "--json")
    assert result.code == 0, result.stderr
    return out, [json.loads(line) for line in result.stdout.splitlines()]


def test_json_is_what_the_folder_has(rows: tuple[Path, list[dict[str, object]]]) -> None:
    """One object a line and nothing else: the rows of metrics.jsonl in their order, and lines."""
    out, printed = rows
    kept = RunLog(out).rows()
    assert [row for row in printed if row["kind"] != "line"] == kept
    assert {"start", "step", "epoch", "save", "memory", "warning", "end"} <= {row["kind"] for row in kept}
    assert any("best validation accuracy" in str(row.get("text")) for row in printed)


def test_quiet_prints_nothing_but_warnings(tiny_set: Path, tmp_path: Path) -> None:
    """Standard output is empty; the run leaves what it always leaves."""
    result = headrace("train", tiny_set, "--out", tmp_path / "run", *SMALL, "--quiet")
    assert (result.code, result.stdout) == (0, "")
    assert all(line.startswith("headrace: warning: ") for line in result.stderr.splitlines())
    assert (tmp_path / "run" / "report.html").exists()
    refused(here("train", tiny_set, "--quiet", "--json"), 2, "give only one of them")


@pytest.mark.faults  # it compiles all loops once more
def test_first_compile_is_told(tiny_set: Path, tmp_path: Path) -> None:
    """Where nothing is kept yet, the seconds until the first batch have a line, once; the next run has none."""
    told = []
    for number in (1, 2):
        result = headrace(
            "train", tiny_set, "--out", tmp_path / str(number), *SMALL, env={"XDG_CACHE_HOME": str(tmp_path / "cache")}
        )
        assert result.code == 0, result.stderr
        told.append(result.stdout.count("compiling the loops over pixels"))
    assert told == [1, 0]


def test_inspect_refuses_a_sheet_before_it_describes(tiny_set: Path, tmp_path: Path) -> None:
    """The error is all that it prints."""
    (tmp_path / "file").touch()
    refused(here("inspect", tiny_set, "--sheet", tmp_path / "a.pdf"), 2, "ends with .png")
    refused(here("inspect", tiny_set, "--sheet", tmp_path / "file" / "a.png"), 2, "file is a file, not a folder")


def test_inspect_is_one_object(tiny_set: Path, tmp_path: Path) -> None:
    """The figures of the text; a sheet is told on standard error."""
    result = here("inspect", tiny_set, "--json", "--sheet", tmp_path / "sheet.png")
    assert result.code == 0
    record = json.loads(result.stdout)
    assert (record["samples"], len(record["classes"]), record["percentiles"]) == (600, 12, [0, 5, 50, 95, 100])
    assert record["classes"][3]["samples"] == {"train": 40, "val": 10}
    assert [(one["name"], one["samples"], one["width"]) for one in record["splits"]] == [
        ("train", 480, [64] * 5),
        ("val", 120, [64] * 5),
    ]
    assert record["shared"] == [{"first": "train", "second": "val", "samples": 0}]
    assert "sheet.png" in result.stderr


def test_verify_is_one_object(tiny_set: Path, tmp_path: Path) -> None:
    """A sound set, and one that is not: then all problems, the command that mends them, and code 3."""
    import shutil

    sound = here("verify", tiny_set, "--json", "--deep")
    record = json.loads(sound.stdout)
    assert (sound.code, record["sound"], record["deep"], record["problems"]) == (0, True, True, [])
    assert (record["samples"], record["shards"]) == (600, 7)
    copy = tmp_path / "set"
    shutil.copytree(tiny_set, copy)
    tar = copy / "train-000001.tar"
    tar.write_bytes(tar.read_bytes()[:-1])
    damaged = here("verify", copy, "--json")
    record = json.loads(damaged.stdout)
    assert (damaged.code, record["sound"]) == (3, False)
    assert "train-000001.tar" in record["problems"][0]
    assert record["remedy"]
    assert "headrace: error: " in damaged.stderr
