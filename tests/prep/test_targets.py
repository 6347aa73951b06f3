"""What OUT may be: a mount point, a link, a set on a read-only disk, or a place with work of another user."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.prep.sources.demo import demo_source
from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.shards.targets import followed, is_mount_point
from tests.disks import NOBODY, in_namespace
from tests.prep.contents import as_zip, small
from tests.prep.test_convert import SHARDS, contents, make, quiet
from tests.prep.test_swap import OTHER

MOUNTED = """
mkdir "$2/out" "$2/there"
case "$4" in
    tmpfs) mount -t tmpfs tmpfs "$2/out" ;;
    bind) mount --bind "$2/there" "$2/out" ;;
esac
"$3" -P -m headrace prep "$1" "$2/out" || echo "ended with $?"; ls -A "$2" "$2/out"
"$3" -P -m headrace prep "$1" "$2/out/shards" >/dev/null; ls "$2/out/shards" | grep json$
"""
REUSED = """
mkdir "$2/volume"; mount --bind "$2/set" "$2/volume"
prep() { "$1" -P -m headrace prep "${@:2}" || echo "ended with $?"; }
prep "$3" "$1" "$2/volume" --samples-per-shard 4; ls -A "$2"
"""
READ_ONLY = """
mkdir "$2/disk"; mount -t tmpfs tmpfs "$2/disk"; cp -r "$2/set" "$2/disk/set"; mount -o remount,ro "$2/disk"
prep() { "$1" -P -m headrace prep "${@:2}" || echo "ended with $?"; }
prep "$3" "$1" "$2/disk/set" --samples-per-shard 4
touch -d 2001-01-01 "$1"
prep "$3" "$1" "$2/disk/set" --samples-per-shard 4
prep "$3" "$1" "$2/disk/set" --samples-per-shard 5
prep "$3" "$1" "$2/disk/set" --samples-per-shard 5 --if-exists rebuild
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small source, as a zip in a folder of its own."""
    (tmp_path / "in").mkdir()
    return as_zip(small(), tmp_path / "in" / "a.zip")


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder for OUT."""
    (tmp_path / "room").mkdir()
    return tmp_path / "room"


LOCKED = """
mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; mount -t tmpfs tmpfs "$1/out"
"$2" -c 'import sys, pathlib; from headrace.shards.lock import locked
with locked(pathlib.Path(sys.argv[1])): print(*(path.name for path in pathlib.Path(sys.argv[1]).iterdir()))' "$1/out"
ls -A "$1/out"
"""


def test_folder_at_a_mount_point_is_locked_inside(room: Path) -> None:
    """A run or an index in a volume writes nothing to the parent disk, which may be read-only."""
    (room / "out").mkdir()
    done = in_namespace(LOCKED, room, sys.executable)
    assert (done.stdout, done.stderr) == (".headrace.lock\n", "")


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_mount_point_is_refused_before_any_work(source: Path, room: Path, kind: str) -> None:
    """A mount point of any kind is refused, since OUT must be a folder inside it; nothing is left."""
    done = in_namespace(MOUNTED, source, room, sys.executable, kind)
    assert done.stdout.split() == [
        *("ended", "with", "2", f"{room}:", "out", "there", f"{room}/out:"),
        "shardset.json",
    ], done
    (line,) = done.stderr.splitlines()
    assert f"error: {room}/out: a disk or volume is mounted there" in line
    assert f"Give a folder in it, such as {room}/out/shards" in line


def test_set_on_a_mount_point_is_reused(source: Path, room: Path) -> None:
    """A set that exists needs no rename, so it is reused, and no file is left beside or in the volume."""
    make(source, room / "set")
    done = in_namespace(REUSED, source, room, sys.executable)
    assert "reused" in done.stdout, done
    assert done.stdout.splitlines()[-2:] == ["set", "volume"]
    assert not list((room / "set").glob(".*"))


def test_names_of_mount_points_are_unescaped(room: Path) -> None:
    """The kernel writes a space, tab, newline or backslash in such a name as a code."""
    out = room / "a b\\c\td"
    program = "import sys; from pathlib import Path; from headrace.shards.targets import is_mount_point; "
    program += "print(is_mount_point(Path(sys.argv[1])), is_mount_point(Path(sys.argv[1]).parent))"
    out.mkdir()
    done = in_namespace('mount -t tmpfs tmpfs "$1"; "$2" -c "$3" "$1"', out, sys.executable, program)
    assert done.stdout == "True False\n", done
    assert is_mount_point(Path("/proc"))


def test_unchanged_set_on_a_read_only_disk_is_reused(source: Path, room: Path) -> None:
    """An unchanged set needs no lock or note, even after a touch; work that must write is refused with 2."""
    make(source, room / "set")
    done = in_namespace(READ_ONLY, source, room, sys.executable)
    lines = done.stdout.splitlines()
    assert ["reused" in line for line in lines if "sound" in line or "reused" in line] == [True, True], done
    assert sum("the next prep will compare contents again" in line for line in lines) == 1
    assert lines.count("ended with 2") == 2
    first, second = [line for line in done.stderr.splitlines() if "error" in line]
    assert "made with other options" in first
    assert "cannot write there (Read-only file system)" in second


def test_link_at_out_is_followed_once(source: Path, room: Path) -> None:
    """The set is made and rebuilt at the target of the link; the link stays, and nothing else is left."""
    (room / "disk").mkdir()
    (room / "out").symlink_to("disk/set")
    make(source, room / "out")
    for options in (OTHER, SHARDS, OTHER):
        make(source, room / "out", options, if_exists="rebuild")
        make(source, room / "plain", options, if_exists="rebuild")
        assert contents(room / "out") == contents(room / "plain")
    assert (room / "out").readlink() == Path("disk/set")
    assert sorted(path.name for path in room.iterdir()) == ["disk", "out", "plain"]
    assert [path.name for path in (room / "disk").iterdir()] == ["set"]


def test_link_that_an_earlier_rebuild_left_is_removed(source: Path, room: Path) -> None:
    """A link that an earlier rebuild left beside the set does not stop a later rebuild."""
    make(source, room / "out")
    (room / "elsewhere").mkdir()
    for name in (".out.old", ".out.partial"):
        (room / name).symlink_to("elsewhere")
    assert not make(source, room / "out", OTHER, if_exists="rebuild").reused
    assert sorted(path.name for path in room.iterdir()) == ["elsewhere", "out"]


def test_links_that_lead_nowhere_are_refused(source: Path, room: Path) -> None:
    """A circle of links is refused before any work."""
    (room / "a").symlink_to("b")
    (room / "b").symlink_to("a")
    with pytest.raises(UsageError, match="its symbolic links form a loop"):
        make(source, room / "a")
    assert sorted(path.name for path in room.iterdir()) == ["a", "b"]


def test_empty_folder_is_taken_over(source: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty OUT is replaced without exchanging two names, which some file systems cannot do."""
    (room / "out").mkdir()
    monkeypatch.setattr(store, "_exchange", lambda *_: pytest.fail("no exchange is needed"))
    assert not make(source, room / "out").reused
    assert [path.name for path in room.iterdir()] == ["out"]


@pytest.mark.parametrize("out", ["/", "/.", "/.."])
def test_root_is_refused(source: Path, out: str) -> None:
    """The root of the file system cannot be a set, and a demo cannot write its zip beside it."""
    for begin in (lambda: make(source, Path(out)), lambda: demo_source(Path(out), 0, say=quiet)):
        with pytest.raises(UsageError, match="the root of the file system cannot be replaced"):
            begin()


def test_current_folder_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.` means the folder it stands for, even for the zip of the demo beside it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert followed(Path()) == tmp_path / "here"
    assert demo_source(Path(), 0, say=quiet, train=1, val=1) == tmp_path / "here.source.zip"


@pytest.fixture
def foreign(room: Path) -> Iterator[Path]:
    """A place where an interrupted prep of another user could have left its work."""
    if os.geteuid():
        pytest.skip("only root can give a folder to another user")
    yield room
    shutil.rmtree(room)


@pytest.mark.parametrize("name", [".out.partial", ".out.old"])
def test_what_another_user_left_is_refused(source: Path, foreign: Path, name: str) -> None:
    """Work of another user may hold anything, so it is neither continued nor published; its owner is named."""
    make(source, foreign / "out")
    left = (foreign / "out").rename(foreign / name)
    os.chown(left, NOBODY, NOBODY)
    with pytest.raises(
        UsageError, match=rf"{name}: it belongs to \w+ \(user {NOBODY}\), but files made here belong to"
    ):
        make(source, foreign / "out")
    assert [path.name for path in foreign.iterdir()] == [name]
    os.chown(left, os.geteuid(), os.getegid())
    assert make(source, foreign / "out").reused == (name == ".out.old")
