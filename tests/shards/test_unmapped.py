"""Columns that are not shared: small splits, folders and disks that take no file, links, damaged indexes."""

import sys
from pathlib import Path

import pytest

from headrace.shards.errors import DataError
from tests.disks import bound_by_permissions, in_namespace
from tests.shards.made_sets import made_set
from tests.shards.opened_columns import SAMPLES, is_mapped, opened, same


def test_small_splits_are_not_mapped(tiny_set: Path, folder: Path) -> None:
    """Small splits are read from the index and leave no file."""
    _, columns = opened(tiny_set)
    assert not is_mapped(columns)
    assert same(columns, tiny_set)
    assert not folder.exists()


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
    assert "every process has its own copy: there is no folder headrace/columns" in trouble[0]


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
    assert "cannot be shared, so every process has its own copy: there is no folder headrace/columns" in ours.trouble
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
