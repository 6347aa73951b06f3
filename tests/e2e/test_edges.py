"""The edges of the commands: paths that cannot be, files that may not be read, and errors that nobody expected."""

import os
import shlex
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import headrace
from headrace import cli
from headrace.shards.ending import REPORT
from headrace.shards.errors import UsageError
from headrace.shards.manifest import NAME
from tests.checkout import HEADRACE
from tests.disks import bound_by_permissions, in_namespace
from tests.e2e.commands import here, refused
from tests.prep.contents import as_folder, as_zip, small

LONG = "n" * 256


@pytest.fixture
def shards(tiny_set: Path, tmp_path: Path) -> Path:
    """A set of this test's own."""
    return Path(shutil.copytree(tiny_set, tmp_path / "set"))


def test_current_folder_can_be_indexed(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`index .` is `index` of the folder that it means."""
    (shards / "val-000000.idx").unlink()
    monkeypatch.chdir(shards)
    assert here("index", ".").code == 0
    assert here("verify", ".").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["prep", LONG, "out"],
        ["prep", "SOURCE", LONG],
        ["prep", "SOURCE", "n" * 250],
        ["prep", "--demo", LONG],
        ["prep", "--demo", "n" * 250],
        ["index", LONG],
        ["verify", LONG],
        ["inspect", LONG],
        ["inspect", "SET", "--sheet", f"{LONG}.png"],
        ["inspect", "SET", "--sheet", f"{'n' * 245}.png"],
        ["recipes", "show", LONG],
        ["recipes", "diff", "demo", LONG],
        ["train", LONG],
        ["train", "SET", "--recipe", LONG],
        ["train", "SET", "--recipe", "demo", "--out", LONG],
        ["train", "SET", "--recipe", "demo", "--weights", LONG],
        ["train", "SET", "--resume", LONG],
        ["train", "SET", "--recipe", "demo", "--set", f"runtime.cache_dir={LONG}", "--set", "runtime.cache=decoded"],
        ["eval", LONG, "SET"],
    ],
    ids=lambda words: " ".join(words).replace(LONG, "LONG").replace("n" * 240, "LONG"),
)
def test_names_that_are_too_long_are_refused(
    arguments: list[str], tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever argument has one, the line names it, and nothing is left."""
    monkeypatch.chdir(tmp_path)
    source = as_zip(small(), tmp_path / "a.zip")
    given = [{"SOURCE": str(source), "SET": str(tiny_set)}.get(word, word) for word in arguments]
    ended = here(*given)
    refused(ended._replace(stdout=""), 2, "nnnnnnnn", "long")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


NUL = "a\0b"


CACHE = ("runtime.cache=decoded", r'runtime.cache_dir="a\u0000b"')


@pytest.mark.parametrize(
    "call",
    [
        lambda at: headrace.make_shards(NUL, at / "out"),
        lambda at: headrace.make_shards(at / "a.zip", NUL),
        lambda _: headrace.ShardSet.open(NUL),
        lambda _: headrace.verify_shards(NUL),
        lambda _: headrace.load_recipe(NUL),
        lambda at: headrace.fit(NUL, "demo", out=at / "out"),
        lambda at: headrace.fit(at / "set", "demo", out=NUL),
        lambda at: headrace.fit(at / "set", "demo", out=at / "out", resume=NUL),
        lambda at: headrace.fit(at / "set", "demo", out=at / "out", settings=CACHE),
    ],
    ids=["source", "out", "open", "verify", "recipe", "fit", "run", "resume", "cache"],
)
def test_nul_in_a_path_is_refused(call: Callable[[Path], object], shards: Path) -> None:
    """No command line can have one, but programs and recipes can."""
    as_zip(small(), shards.parent / "a.zip")
    with pytest.raises(UsageError, match="not a possible file name"):
        call(shards.parent)
    assert sorted(path.name for path in shards.parent.iterdir()) == ["a.zip", "set"]


@pytest.mark.parametrize(
    "text",
    [
        "train.epochs = " + "[" * 3000 + "]" * 3000,
        "[train]\nepochs" + ".a" * 3000 + " = 1",
        "[train" + ".a" * 3000 + "]\nb = 1",
        "epochs = " + "{a=" * 500 + "1" + "}" * 500,
    ],
    ids=["arrays", "dotted keys", "tables", "inline tables"],
)
def test_deep_recipe_is_refused(text: str, tmp_path: Path) -> None:
    """A TOML file that is nested deeper than the interpreter goes has an error, in one line of bounded length."""
    path = tmp_path / "deep.toml"
    path.write_text(text)
    ended = here("recipes", "show", path)
    refused(ended, 2, "deep.toml")
    assert len(ended.stderr) < 9000


def test_deep_setting_is_refused(tiny_set: Path, tmp_path: Path) -> None:
    """So is a setting."""
    setting = "train.epochs={a" + ".a" * 3000 + "=1}"
    refused(here("train", tiny_set, "--recipe", "demo", "--out", tmp_path / "run", "--set", setting), 2, "nested")


def test_group_of_one_value_is_refused(tiny_set: Path, tmp_path: Path) -> None:
    """At 32 pixels the network makes each image one pixel, of which a group of one has no variance."""
    common = ["--recipe=demo", "--device=cpu", "--set=augment.sizes=[[0.0, 32], [0.5, 64]]"]
    for setting in ("--set=train.group=1", "--batch-per-process=1"):
        ended = here("train", tiny_set, "--out", tmp_path / "run", *common, setting)
        refused(ended, 2, "train.group = 1 at 32 px", "train.group = 2 or more, or images of at least 64 px")


def test_manifest_that_is_a_folder(shards: Path, tiny_zip: Path, tmp_path: Path) -> None:
    """It is damage like any other; the command that the line gives mends it, and what was in the folder is kept."""
    (shards / NAME).unlink()
    (shards / NAME).mkdir()
    (shards / NAME / "mine").write_text("kept")
    run = ["--recipe", "demo", "--out", str(tmp_path / "run")]
    for command in ("verify", "inspect", "index", "train"):
        ended = here(command, shards, *(run if command == "train" else []))
        refused(ended, 3, f"{shards / NAME}: cannot be read (not a regular file)")
    refused(here("prep", tiny_zip, shards), 3, "not a regular file")
    (shards / "source.stat").unlink()
    remedy = here("verify", shards).stderr.split("`")[1]
    for command in remedy.split(" && "):
        words = shlex.split(command)
        subprocess.run([*HEADRACE, *words[1:]] if words[0] == "headrace" else words, check=True, capture_output=True)
    assert here("verify", shards).code == 0
    assert [path.read_text() for path in shards.rglob("mine")] == ["kept"]


def test_unreadable_manifest_is_refused(shards: Path) -> None:
    """A set that the user may not read, or not reach, is not called damaged: the line says whose word it needs."""
    for path in (shards / NAME, shards.parent):
        path.chmod(0)
        for command in ("verify", "inspect", "index", "train"):
            done = bound_by_permissions(*HEADRACE, command, shards)
            refused_by(done, 2, str(shards), "Permission denied", "owner for permission")
        path.chmod(0o755)


def test_unreadable_folder_in_a_source_is_refused(tmp_path: Path) -> None:
    """A folder below SOURCE that the user may not list is named."""
    source = as_folder(small(), tmp_path / "in")
    (source / "train/n01").chmod(0)
    done = bound_by_permissions(*HEADRACE, "prep", source, tmp_path / "out")
    (source / "train/n01").chmod(0o755)
    refused_by(done, 3, f"{source}/train/n01: cannot be read (Permission denied)", "Ask its owner for permission")


def refused_by(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    """A process ended with this code and one line that has these words."""
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done
    for word in words:
        assert word in done.stderr, done.stderr


READ_ONLY = """
mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; cd /
"$2" -P -m headrace index "$1/set" || echo "ended with $?"
"$2" -P -m headrace inspect "$1/set" --sheet "$1/sheet.png" >/dev/null || echo "ended with $?"
"$2" -P -m headrace inspect "$1/set" --sheet "$1/set/sheet.png" >/dev/null || echo "ended with $?"
"""


@pytest.mark.parametrize("deep", [False, True], ids=["disk", "only the set"])
def test_read_only_disks_are_said(shards: Path, deep: bool) -> None:
    """`index` and `inspect --sheet` end with one line each, also where only the set itself cannot be written."""
    script = (
        READ_ONLY.replace('"$1" "$1"', '"$1/set" "$1/set"').replace('ro "$1"', 'ro "$1/set"') if deep else READ_ONLY
    )
    done = in_namespace(script, shards.parent, sys.executable)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("index: ")]
    wanted = 2 if deep else 3
    assert done.stdout.count("ended with 2") == wanted, done
    assert len(lines) == wanted
    assert all("cannot write there (Read-only file system)" in line for line in lines)


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Have `verify` meet this error."""

    def check(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr("headrace.prep.verify.check", check)


def test_error_of_the_system_is_a_line_with_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nobody on the way knew better, the line has the file and the system's word; code 1."""
    failing(monkeypatch, OSError(5, os.strerror(5), str(tmp_path / "a\nb")))
    refused(here("verify", tmp_path), 1, f"{tmp_path}/a b: Input/output error", "HEADRACE_DEBUG=1")
    failing(monkeypatch, OSError(24, os.strerror(24), str(tmp_path)))
    refused(here("verify", tmp_path), 1, "this process may open", "Raise the limit first: `ulimit -n")


@pytest.mark.parametrize("error", [ZeroDivisionError("a fault"), EOFError("a fault"), OSError(5, "a fault")])
def test_fault_of_headrace_says_where_to_report_it(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """It stays a traceback, whose last line says that; the end of a pipe is not "Aborted!"."""
    failing(monkeypatch, error)
    result = CliRunner().invoke(cli.main, ["verify", "x"])
    assert result.exit_code == 1
    assert isinstance(result.exception, Exception)
    assert not isinstance(result.exception, SystemExit)
    shown = "".join(traceback.format_exception(result.exception))
    assert f"{type(error).__name__}: " in shown
    assert shown.splitlines()[-1] == REPORT
    assert "Aborted" not in result.stderr


def test_debug_shows_causes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HEADRACE_DEBUG=1 shows what led to an expected error; the line and the exit code stay what they are."""
    monkeypatch.setenv("HEADRACE_DEBUG", "1")
    ended = here("verify", tmp_path)
    assert ended.code == 2
    assert "FileNotFoundError" in ended.stderr
    assert "The above exception was the direct cause" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"headrace: error: {tmp_path}: no shardset.json in it")
