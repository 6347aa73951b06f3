"""Columns of large splits: one file for all processes of a host, checked, made again, bounded, or not used."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.shards import mapped
from headrace.shards.columns import Columns, read_columns
from headrace.shards.errors import DataError
from headrace.shards.manifest import Manifest, SplitInfo, load
from headrace.shards.mapped import Mapped
from headrace.shards.shardset import ShardSet
from tests.checkout import ROOT
from tests.disks import bound_by_permissions, in_namespace
from tests.shards.made_sets import made_set

SAMPLES = 300_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the columns, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "headrace" / "columns"


@pytest.fixture
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count every split that has a sample as large."""
    monkeypatch.setattr(mapped, "FEWEST", 1)


def opened(root: Path, name: str = "train") -> tuple[Mapped, Columns]:
    """The columns of a split as a new process opens them."""
    ours = Mapped()
    return ours, ours.open(root, info(root, name), load(root))


def info(root: Path, name: str = "train") -> SplitInfo:
    """The entry of a split in the manifest."""
    return next(split for split in load(root).splits if split.name == name)


def same(found: Columns, root: Path, name: str = "train") -> bool:
    """Whether these columns equal those in the index."""
    expected = read_columns(root, info(root, name), load(root))
    pairs: list[tuple[Any, Any]] = list(zip(found, expected, strict=True))
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)


def is_mapped(columns: Columns) -> bool:
    """Whether the arrays are views of a file."""
    return not any(column.flags.writeable or column.flags.owndata for column in columns)


@pytest.mark.usefixtures("small_ones_too")
def test_columns_are_those_of_the_index(tiny_set: Path, folder: Path) -> None:
    """The file has the columns of the index when made and when found; only this user can read it."""
    for _ in range(2):
        ours, columns = opened(tiny_set)
        assert is_mapped(columns)
        assert same(columns, tiny_set)
        assert ours.trouble == ""
    file, lock = sorted(folder.iterdir())
    assert (file.suffix, lock.suffix) == (".columns", ".lock")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)] == [0o700, 0o600]


def test_small_splits_are_not_mapped(tiny_set: Path, folder: Path) -> None:
    """Small splits are read from the index and leave no file."""
    _, columns = opened(tiny_set)
    assert not is_mapped(columns)
    assert same(columns, tiny_set)
    assert not folder.exists()


@pytest.mark.usefixtures("small_ones_too")
def test_found_file_is_read_in_place_of_the_index(tiny_set: Path, folder: Path) -> None:
    """A file that is found is used without parsing the index again, and its time of use is updated."""
    opened(tiny_set)
    file = next(folder.glob("*.columns"))
    os.utime(file, (1, 1))
    before = file.stat().st_ino
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "column_parts", None)
        assert is_mapped(opened(tiny_set)[1])
    assert file.stat().st_ino == before
    assert time.time() - file.stat().st_mtime < 100


@pytest.mark.usefixtures("small_ones_too")
def test_any_damage_is_found_and_mended(tiny_set: Path, folder: Path) -> None:
    """The file is made again after a flipped bit anywhere, a cut, emptying, or a change of its permissions."""
    opened(tiny_set)
    file = next(folder.glob("*.columns"))
    sound = file.read_bytes()
    for place in [*range(0, 160, 3), *range(160, len(sound), 997), len(sound) - 1]:
        file.write_bytes(sound[:place] + bytes([sound[place] ^ 16]) + sound[place + 1 :])
        assert same(opened(tiny_set)[1], tiny_set), place
        assert file.read_bytes() == sound
    for data in (b"", sound[:-1], sound[:4096], sound + b"\0"):
        file.write_bytes(data)
        assert same(opened(tiny_set)[1], tiny_set)
        assert file.read_bytes() == sound
    file.chmod(0o666)
    assert same(opened(tiny_set)[1], tiny_set)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.usefixtures("small_ones_too")
def test_link_in_the_place_of_the_file_is_not_followed(tiny_set: Path, tmp_path: Path, folder: Path) -> None:
    """The target of the link stays as it is, and this process uses a copy of its own."""
    opened(tiny_set)
    file = next(folder.glob("*.columns"))
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    ours, columns = opened(tiny_set)
    assert same(columns, tiny_set)
    assert "its own copy" in ours.trouble


@pytest.mark.usefixtures("small_ones_too")
def test_each_split_and_each_index_has_its_own_file(tiny_set: Path, tmp_path: Path, folder: Path) -> None:
    """Sets of equal content share a file wherever they are; another index has a file of its own."""
    copy = made_set(tmp_path / "one", 50)
    opened(tiny_set, "train")
    opened(tiny_set, "val")
    assert len(list(folder.glob("*.columns"))) == 2
    opened(copy)
    copy.rename(tmp_path / "elsewhere")
    opened(tmp_path / "elsewhere")
    assert len(list(folder.glob("*.columns"))) == 3
    assert same(opened(made_set(tmp_path / "two", 51))[1], tmp_path / "two")
    assert len(list(folder.glob("*.columns"))) == 4


TELL = """
import sys
from headrace.shards.mapped import MAPPED
from headrace.shards.shardset import ShardSet
split = ShardSet.open(sys.argv[1])["train"]
print(len(split), split.labels[1], split.labels.flags.writeable)
print(MAPPED.trouble)
"""


@pytest.mark.parametrize("there", ["a folder", "a file in it"])
def test_folder_that_may_not_be_written(tmp_path: Path, folder: Path, there: str) -> None:
    """Each process uses its own copy, which one line says; a file that is already there is not used."""
    root = made_set(tmp_path / "set", SAMPLES)
    folder.mkdir(parents=True)
    if there == "a file in it":
        opened(root)
    folder.chmod(0o500)
    result = bound_by_permissions(sys.executable, "-c", TELL, root)
    assert result.stderr == ""
    figures, *trouble = result.stdout.splitlines()
    assert figures == f"{SAMPLES} 1 True"
    assert len(trouble) == 1
    assert "every process has its own copy: no folder headrace/columns" in trouble[0]


MOUNTED = """
mkdir -p "$1/cache"
mount -t tmpfs -o "$2" none "$1/cache"
mkdir -p -m 700 "$1/cache/headrace/columns"
test "$3" = "" || mount -o "remount,$3" none "$1/cache"
XDG_CACHE_HOME="$1/cache" "$4" -c "$5" "$1/set"
ls -A "$1/cache/headrace/columns"
"""


@pytest.mark.parametrize(
    ("size", "remounted", "expected", "left"),
    [
        ("size=64m", "ro", "no folder headrace/columns", []),
        ("size=4m", "", "No space left on device", [".lock"]),
    ],
)
def test_disk_that_takes_no_file(tmp_path: Path, size: str, remounted: str, expected: str, left: list[str]) -> None:
    """On a read-only or too full disk the reason is given, and no unfinished file is left."""
    made_set(tmp_path / "set", SAMPLES)
    result = in_namespace(MOUNTED, tmp_path, size, remounted, sys.executable, TELL)
    figures, trouble, *names = result.stdout.splitlines()
    assert figures == f"{SAMPLES} 1 True"
    assert expected in trouble
    assert [Path(name).suffix for name in names] == left


@pytest.mark.usefixtures("small_ones_too")
def test_without_a_private_folder(tiny_set: Path, tmp_path: Path, folder: Path) -> None:
    """The columns are not shared if a file is in the place of the folder, or others may write to the folder."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "headrace").write_bytes(b"")
    ours, columns = opened(tiny_set)
    assert same(columns, tiny_set)
    assert not is_mapped(columns)
    assert "cannot be shared, so every process has its own copy: no folder headrace/columns" in ours.trouble
    (tmp_path / "cache" / "headrace").unlink()
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert "no folder" in opened(tiny_set)[0].trouble
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("small_ones_too")
def test_damaged_index_leaves_no_file(tmp_path: Path, folder: Path) -> None:
    """A damaged index gives the usual error, and no later opening finds a file made from it."""
    root = made_set(tmp_path / "set", 50)
    path = root / "train.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"train\.parquet: not the file that the manifest describes"):
        opened(root)
    assert [one.suffix for one in folder.iterdir()] == [".lock"]
    data[100] ^= 1
    path.write_bytes(data)
    opened(root)
    path.write_bytes(data[:-1])
    with pytest.raises(DataError, match=r"train\.parquet: not the file.*headrace index"):
        opened(root)
    path.unlink()
    with pytest.raises(DataError, match=r"train\.parquet: No such file"):
        opened(root)


@pytest.mark.usefixtures("small_ones_too")
def test_old_files_go(tmp_path: Path, folder: Path) -> None:
    """The eight files used last stay; a file unused for a month goes, as do unfinished files of dead processes."""
    roots = [made_set(tmp_path / str(number), 10 + number) for number in range(11)]
    for age, root in enumerate(roots[:10]):
        opened(root)
        newest = max(folder.glob("*.columns"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (time.time() - 100 + age,) * 2)
    assert len(list(folder.glob("*.columns"))) == 8
    (folder / "a.columns.123.partial").write_bytes(b"half")
    month_ago = time.time() - 31 * 86400
    for path in sorted(folder.glob("*.columns"))[:3]:
        os.utime(path, (month_ago, month_ago))
    used = {path for path in folder.glob("*.columns") if path.stat().st_mtime > month_ago + 100}
    opened(roots[10])
    left = set(folder.glob("*.columns"))
    assert used < left
    assert len(left) == len(used) + 1
    assert not list(folder.glob("*.partial"))


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from headrace.shards.shardset import ShardSet
split = ShardSet.open(sys.argv[1])["train"]
total = int(split.labels.sum()) + int(split.widths.sum())
print(total, flush=True)
sys.stdin.readline()
smaps, mine = Path("/proc/self/smaps").read_text().split("VmFlags"), {}
for part in smaps:
    if ".columns" in part:
        for line in part.splitlines():
            name, _, rest = line.partition(":")
            if rest.endswith(" kB"):
                mine[name] = mine.get(name, 0) + int(rest.split()[0])
print(mine["Rss"], mine["Pss"], mine["Private_Dirty"], mine["Shared_Clean"] + mine["Shared_Dirty"], flush=True)
"""


def test_processes_share_one_file(tmp_path: Path, folder: Path) -> None:
    """Two processes that start together make one file, and the kernel counts the shared pages in memory once."""
    root = made_set(tmp_path / "set", SAMPLES)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(root)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    totals = [read_line(one) for one in started]
    split = ShardSet.open(root)["train"]
    assert totals == [[int(split.labels.sum()) + int(split.widths.sum())]] * 2
    read = (split.labels.nbytes + split.widths.nbytes) // 1024
    del split
    figures = []
    for one in started:
        one.stdin.write("\n")  # type: ignore[union-attr]
        one.stdin.flush()  # type: ignore[union-attr]
    figures = [read_line(one) for one in started]
    assert [one.wait() for one in started] == [0, 0]
    for resident, proportional, private_dirty, shared in figures:
        assert read <= resident < 2 * read
        assert proportional <= 0.6 * resident
        assert shared == resident
        assert private_dirty == 0
    assert len(list(folder.glob("*.columns"))) == 1


def read_line(process: "subprocess.Popen[str]") -> list[int]:
    """The next line of a process as numbers."""
    line = process.stdout.readline()  # type: ignore[union-attr]
    return [int(word) for word in line.split()]


def test_manifest_of_the_made_set_holds(tmp_path: Path) -> None:
    """The made-up set of these tests opens like any other."""
    root = made_set(tmp_path / "set", 40)
    assert isinstance(load(root), Manifest)
    split = ShardSet.open(root)["train"]
    assert (len(split), split.keys[39], split.sources[0]) == (40, "000000039", "train/000000000.JPEG")
