"""A compressed tar is unpacked only up to half of the free space, and its copy never outlives prep."""

import gzip
import sys
import tarfile
import time
from pathlib import Path

import pytest

from headrace.prep.sources import unpacked
from headrace.shards import store
from headrace.shards.errors import HeadraceError
from tests.disks import in_namespace
from tests.prep.damage import tarred, tree
from tests.prep.test_commands import one_line, run, start

MEGABYTE = 1 << 20
SCRIPT = (
    'mount -t tmpfs -o size=24m tmpfs "$2"; "$3" -P -m headrace prep "$1" "$2/out" || echo "ended with $?"; ls -A "$2"'
)


def bomb(path: Path, megabytes: int) -> Path:
    """A tar.gz of a few kilobytes with one member of zeros."""
    info = tarfile.TarInfo("train/ant/0.jpg")
    info.size = megabytes * MEGABYTE
    zeros = gzip.compress(bytes(MEGABYTE), 1)
    path.write_bytes(gzip.compress(info.tobuf()) + megabytes * zeros + gzip.compress(bytes(1024)))
    return path


def unpacked_bytes(pid: int, folder: Path) -> int:
    """The size of the largest file in `folder` that the process has open, even one without a name."""
    sizes = [0]
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
            sizes.append(descriptor.stat().st_size if Path(target).parent == folder else 0)
        except OSError:
            continue  # closed meanwhile
    return max(sizes)


def test_kill_while_unpacking_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL during unpacking leaves no byte of the copy, and the same command starts again."""
    (tmp_path / "in").mkdir()
    (tmp_path / "target").mkdir()
    source = bomb(tmp_path / "in" / "a.tar.gz", 1000)
    process = start("prep", source, tmp_path / "target" / "out", "--val-fraction", 0)
    try:
        deadline = time.monotonic() + 60
        while unpacked_bytes(process.pid, tmp_path / "target") < MEGABYTE:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
        process.communicate()
    assert sum(path.stat().st_size for path in (tmp_path / "target").rglob("*") if path.is_file()) == 0
    source.write_bytes(tarred({name.encode(): data for name, data in tree().items()}, "w:gz"))
    assert run("prep", source, tmp_path / "target" / "out").returncode == 0
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["out"]


def test_disk_is_never_filled_by_unpacking(tmp_path: Path) -> None:
    """A small file that unpacks to more than half of the free space is refused with both sizes."""
    source = bomb(tmp_path / "a.tar.gz", 100)
    (tmp_path / "disk").mkdir()
    done = in_namespace(SCRIPT, source, tmp_path / "disk", sys.executable)
    assert done.stdout.splitlines() == ["ended with 1"]
    assert "unpacks to more than 12,582,912 bytes, half of the 25,165,824 that are free in" in one_line(done)


@pytest.mark.parametrize(("room", "fits"), [(-1, False), (0, True)])
def test_bound_is_half_of_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, fits: bool) -> None:
    """A copy of exactly half of the free space is made, and one a byte larger is refused."""
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(3 * MEGABYTE + 7)))
    monkeypatch.setattr(store, "free_bytes", lambda _: 2 * (3 * MEGABYTE + 7 + room))
    if fits:
        with unpacked.unpack(tmp_path / "a.gz", gzip.open, tmp_path) as copy:
            assert unpacked.path_of(copy).stat().st_size == 3 * MEGABYTE + 7
    else:
        with pytest.raises(HeadraceError, match="unpacks to more than 3,145,734 bytes"):
            unpacked.unpack(tmp_path / "a.gz", gzip.open, tmp_path)
