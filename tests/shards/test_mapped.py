"""Columns of large splits: one file for all processes of a host, checked, made again and bounded."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.shards import mapped
from headrace.shards.manifest import Manifest, load
from headrace.shards.shardset import ShardSet
from tests.checkout import ROOT
from tests.shards.made_sets import made_set
from tests.shards.opened_columns import SAMPLES, is_mapped, opened, same


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
