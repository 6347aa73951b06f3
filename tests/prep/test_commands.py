"""`headrace prep` and `headrace verify` as a user types them: arguments, exit codes, and files left on the disk."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.shards.names import STAMP
from tests.checkout import HEADRACE, ROOT
from tests.disks import in_namespace
from tests.prep.contents import as_folder, as_zip, small


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`headrace ARGUMENTS` in a process of its own."""
    command = [*HEADRACE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The error of a command: the last line of its standard error, after checking that no traceback was printed."""
    assert "Traceback" not in done.stderr + done.stdout
    return done.stderr.splitlines()[-1]


def contents(out: Path) -> dict[str, bytes]:
    """The name and the bytes of each file of a set, except the file about this machine."""
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != STAMP}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small source, as a zip in a folder of its own."""
    (tmp_path / "in").mkdir()
    return as_zip(small(), tmp_path / "in" / "a.zip")


def test_a_first_hour(source: Path, tmp_path: Path) -> None:
    """Prep, the same prep, and verify each end with 0 and say what there is now."""
    out = tmp_path / "out"
    first = run("prep", source, out, "--samples-per-shard", 5, "--workers", 2)
    assert (first.returncode, first.stderr) == (0, "")
    assert "18 train, 6 val samples, 3 classes" in first.stdout
    assert "every image decoded" in first.stdout
    again = run("prep", source, out, "--samples-per-shard", 5)
    assert (again.returncode, "reused" in again.stdout) == (0, True)
    for options in ([], ["--deep"]):
        sound = run("verify", out, *options)
        assert (sound.returncode, "sound. 24 samples in 6 shards" in sound.stdout) == (0, True)


def test_demo(tmp_path: Path) -> None:
    """One command without data draws a set and leaves its source beside it; options may take a part of it."""
    done = run("prep", "--demo", tmp_path / "demo", "--classes", 10, "--per-class", 3)
    assert done.returncode == 0
    assert "30 train, 30 val samples, 10 classes" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo", "demo.source.zip"]


def test_usage_errors_end_with_2(source: Path, tmp_path: Path) -> None:
    """A command that cannot be carried out as given ends with 2 and one line that says what to do."""
    out = tmp_path / "out"
    (tmp_path / "text").write_text("hello")
    cases = [
        (["prep", tmp_path / "none", out], "no such file or folder. Give TinyImageNet"),
        (["prep", tmp_path / "text", out], "not a folder, zip, tar or listing"),
        (["prep", source], "give SOURCE and OUT; got 1 path"),
        (["prep", "--demo", source, out], "give only OUT with --demo"),
        (["prep", source, out, "--if-exists", "maybe"], "--if-exists"),
        (["prep", source, out, "--seed", "-1"], "--seed -1: a number from 0"),
        (["prep", source, tmp_path / "text" / "out"], "cannot"),
        (["verify", tmp_path / "none"], "no such folder. Make a shard set there with `headrace prep SOURCE"),
        (["verify", tmp_path], "no shardset.json in it, so it is not a finished shard set"),
    ]
    for arguments, words in cases:
        done = run(*arguments)
        assert words in one_line(done), done
        assert done.returncode in {1, 2}, done
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "text"]


def test_data_errors_end_with_3(source: Path, tmp_path: Path) -> None:
    """Faulty data end the command with 3 and the name of the file, and nothing half-written is left."""
    out = tmp_path / "out"
    cut = tmp_path / "in" / "cut.zip"
    cut.write_bytes(source.read_bytes()[:-500])
    files = small()
    files["train/n01/images/n01_2.JPEG"] = b"<html>404</html>"
    bad = as_zip(files, tmp_path / "in" / "bad.zip")
    empty = as_folder({"readme": b""}, tmp_path / "in" / "empty")
    for path, words in (
        (cut, "cut.zip: not a complete zip"),
        (
            bad,
            "train/n01/images/n01_2.JPEG: not a readable image in JPEG, PNG, WebP, BMP, TIFF, PNM, GIF",
        ),
        (empty, "no data set found in 1 file (readme)"),
    ):
        done = run("prep", path, out)
        assert (done.returncode, words in one_line(done)) == (3, True), done
        assert not out.exists()


def test_verify_lists_problems_and_ends_with_3(source: Path, tmp_path: Path) -> None:
    """Each problem is a line of standard output with its remedy, and the error line gives their number."""
    out = tmp_path / "out"
    run("prep", source, out)
    (out / "train-000000.tar").write_bytes((out / "train-000000.tar").read_bytes()[:-512])
    (out / "val-000000.idx").unlink()
    done = run("verify", out)
    assert (done.returncode, ": 2 problems, listed above" in one_line(done)) == (3, True)
    assert [line.split(":")[0][-16:] for line in done.stdout.splitlines()] == [
        "train-000000.tar",
        "out/val-000000.idx"[-16:],
    ]


def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HEADRACE_DEBUG=1 shows the traceback, for developers of Headrace."""
    monkeypatch.setenv("HEADRACE_DEBUG", "1")
    assert "Traceback" in run("verify", tmp_path).stderr


def test_users_own_modules_are_left_alone(tmp_path: Path) -> None:
    """The command runs beside a user's own train.py, cli.py and prep/, and imports none of them."""
    (tmp_path / "prep").mkdir()
    for name in ("train.py", "cli.py", "shards.py", "prep/__init__.py"):
        (tmp_path / name).write_text("raise SystemExit('the user's own')")
    command = [sys.executable, "-m", "headrace", "verify", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "x: no such folder" in one_line(done)


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """`headrace ARGUMENTS` in the background, in a process group of its own, where Ctrl-C counts.

    A shell has its background jobs ignore it, and they would hand that down.
    """
    command = [*HEADRACE, *map(str, arguments)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def large(tmp_path: Path, tiny_zip: Path) -> list[object]:
    """The arguments of a prep that takes over a second: one shard for each of 600 samples."""
    return ["prep", tiny_zip, tmp_path / "out", "--samples-per-shard", 1, "--workers", 2]


def wait_for_shards(out: Path, count: int) -> None:
    """Wait until the run has finished some shards."""
    work = out.with_name(f".{out.name}.partial")
    deadline = time.monotonic() + 60
    while len(list(work.glob("*.records/*.record"))) < count:
        assert not out.exists(), "the run is over already"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_interrupt_ends_with_130(large: list[object], tmp_path: Path) -> None:
    """Ctrl-C to the whole group, as from a terminal, gives one line, exit code 130, no set and no process."""
    process = start(*large)
    wait_for_shards(tmp_path / "out", 3)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1]) == (130, b"headrace: interrupted")
    assert b"Traceback" not in errors
    assert not (tmp_path / "out").exists()


def kill_and_continue(large: list[object], tmp_path: Path, pauses: list[float]) -> None:
    """Kill a prep after each pause, then let it finish, and compare the bytes with an undisturbed run."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(*(whole if one == out else one for one in large)).returncode == 0
    for pause in pauses:
        process = start(*large)
        time.sleep(pause)
        process.kill()
        process.wait()
        if out.exists():
            assert contents(out) == contents(whole)
            shutil.rmtree(out)
    assert run(*large).returncode == 0
    assert contents(out) == contents(whole)
    assert run("verify", out, "--deep").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_killed_run_is_continued(large: list[object], tmp_path: Path) -> None:
    """A kill at three moments leaves nothing that looks finished, and the final bytes are the same."""
    kill_and_continue(large, tmp_path, [0.5, 0.8, 1.1])


@pytest.mark.faults
def test_killed_at_twenty_random_moments(large: list[object], tmp_path: Path) -> None:
    """A run killed at twenty random moments ends with the same bytes."""
    chance = random.Random(7)
    kill_and_continue(large, tmp_path, [chance.uniform(0.2, 2.0) for _ in range(20)])


def test_full_disk(source: Path, tmp_path: Path) -> None:
    """A disk that fills up during a write gives one clear error, and the file never appears."""
    program = (
        "import sys; from pathlib import Path\n"
        "from headrace.shards import store; from headrace.shards.errors import HeadraceError\n"
        "try:\n    store.write_bytes(Path(sys.argv[1]) / 'file', bytes(3 << 20))\n"
        "except HeadraceError as error:\n    print(type(error).__name__, error)"
    )
    script = 'mount -t tmpfs -o size=1m tmpfs "$1"; cd "$2"; "$3" -c "$4" "$1"; ls -A "$1"'
    done = in_namespace(script, tmp_path / "in", ROOT, sys.executable, program)
    assert "the disk is full" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=9m tmpfs "$2"; "$3" -P -m headrace prep "$1" "$2/out"'
    done = in_namespace(script, source, tmp_path / "disk", sys.executable)
    assert (done.returncode, "bytes are free there, but about" in one_line(done)) == (1, True)


def test_read_only_target(source: Path, tmp_path: Path) -> None:
    """A target that is not writable is reported at once."""
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o ro tmpfs "$2"; "$3" -P -m headrace prep "$1" "$2/out"'
    done = in_namespace(script, source, tmp_path / "disk", sys.executable)
    assert (done.returncode, "cannot write there (Read-only file system)" in one_line(done)) == (2, True)


def test_two_preps_into_one_target(large: list[object], tmp_path: Path) -> None:
    """The second prep is refused at once, and the first ends well."""
    process = start(*large)
    wait_for_shards(tmp_path / "out", 1)
    process.send_signal(signal.SIGSTOP)  # so that a fast machine does not finish before the second asks
    try:
        second = run(*large)
    finally:
        process.send_signal(signal.SIGCONT)
    assert (second.returncode, "another headrace command is writing it now" in one_line(second)) == (1, True)
    assert process.wait(60) == 0
