"""A set with more tars than a process can or should hold open: tars are opened when they are needed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards import open_files
from headrace.shards.errors import DataError
from headrace.shards.shardset import ShardSet
from tests.checkout import ROOT
from tests.shards.made_sets import made_set

PROGRAM = """
import os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, hard))
from headrace import HeadraceError, ShardSet
{first}
try:
    print(len([sample.jpeg for sample in ShardSet.open(sys.argv[1])["train"]]))
except HeadraceError as error:
    print(error.exit_code, error)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == {limit})
"""
RAISE = "from headrace.shards.open_files import allow_many; allow_many()"
TAKE = "taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(80)]"
TARS = 60


@pytest.fixture(scope="module")
def many_tars(tiny_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose training split has 60 tars."""
    out = tmp_path_factory.mktemp("many") / "set"
    options = Options(samples_per_shard=1, per_class=5)
    prep(tiny_zip, out, options, workers=1, if_exists="error", say=lambda _: None)
    return out


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """The limit on open tars of a split, set to seven."""
    monkeypatch.setattr(open_files, "_MOST_TARS", 7)
    return 7


def printed(program: str, shards: Path) -> list[str]:
    """The lines that a new process prints."""
    command = [sys.executable, "-c", program, str(shards)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def open_tars() -> list[str]:
    """The tars of this set that this process has open, without those that earlier tests left open."""
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sorted(link for link in links if link.endswith(".tar") and "/many" in link)


def test_more_tars_than_the_limit_are_read(many_tars: Path) -> None:
    """A library leaves the limit unchanged and still reads every tar."""
    assert printed(PROGRAM.format(limit=40, first=""), many_tars) == ["60", "True"]


def test_files_of_the_program_count_too(many_tars: Path) -> None:
    """The error says how to raise the limit if the program's own files leave no room."""
    error, unchanged = printed(PROGRAM.format(limit=124, first=TAKE), many_tars)
    assert error.startswith("1 ")
    assert "the split has 60 tars, but this process may open 124 files (RLIMIT_NOFILE" in error
    assert "Raise the limit first: `ulimit -n 1084`" in error
    assert unchanged == "True"


def test_command_raises_the_limit(many_tars: Path) -> None:
    """The first call of the command line raises the limit far enough."""
    assert printed(PROGRAM.format(limit=124, first=f"{TAKE}\n{RAISE}"), many_tars) == ["60", "False"]


def test_only_those_that_were_read_last_stay_open(many_tars: Path, few: int) -> None:
    """Opening a set opens no tar; a batch from all tars gives every image and leaves only the last tars open."""
    expected = [sample.jpeg for sample in ShardSet.open(many_tars)["train"]]
    split = ShardSet.open(many_tars)["train"]
    assert open_tars() == []
    ids = np.random.default_rng(0).permutation(TARS)
    assert [image.tobytes() for image in split.jpegs(ids)] == [expected[one] for one in ids]
    assert len(open_tars()) == few
    split.keep_open(2)
    split.jpegs(np.array([5, 6]))
    assert [Path(path).name for path in open_tars()] == ["train-000005.tar", "train-000006.tar"]
    split.close()
    assert open_tars() == []
    with pytest.raises(IndexError):
        split.jpegs(np.array([0]))


def test_many_are_opened_when_they_are_needed(many_tars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A split of few tars opens all at the start; one of many opens each on first use and keeps it open."""
    monkeypatch.setattr(open_files, "_FROM_THE_START", TARS)
    split = ShardSet.open(many_tars)["train"]
    assert len(open_tars()) == TARS
    split.close()
    monkeypatch.setattr(open_files, "_FROM_THE_START", TARS - 1)
    split = ShardSet.open(many_tars)["train"]
    assert open_tars() == []
    split.jpegs(np.arange(50))
    assert len(open_tars()) == 50
    split.keep_open(10)
    split.jpegs(np.array([59]))
    assert len(open_tars()) == 10


def test_threads_never_read_another_tar(many_tars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar stays open while a thread reads it, even if other threads need more tars than may be open."""
    monkeypatch.setattr(open_files, "_MOST_TARS", 2)
    split = ShardSet.open(many_tars)["train"]
    expected = [sample.jpeg for sample in split]
    orders = np.array([np.random.default_rng(seed).permutation(TARS) for seed in range(200)])

    def read(ids: np.ndarray) -> list[bytes]:
        return [image.tobytes() for image in split.jpegs(ids)]

    with ThreadPoolExecutor(8) as pool:
        for ids, images in zip(orders, pool.map(read, orders), strict=True):
            assert images == [expected[one] for one in ids]
    assert len(open_tars()) <= 2


def test_tar_that_is_lost_or_cut_later_is_named(tiny_zip: Path, tmp_path: Path, few: int) -> None:
    """A tar is checked when it is opened, which may be long after the set was."""
    options = Options(samples_per_shard=1, per_class=1)
    prep(tiny_zip, tmp_path / "set", options, workers=1, if_exists="error", say=lambda _: None)
    split = ShardSet.open(tmp_path / "set")["train"]
    assert len(split) > few
    (tmp_path / "set" / "train-000003.tar").unlink()
    with (tmp_path / "set" / "train-000004.tar").open("r+b") as stream:
        stream.truncate(1000)
    split.jpegs(np.array([2, 5]))
    with pytest.raises(DataError, match=r"train-000003\.tar: No such file"):
        split.jpegs(np.array([2, 3]))
    with pytest.raises(DataError, match=r"train-000004\.tar: 1,000 bytes, but the manifest says"):
        split.jpegs(np.array([4]))


def test_fifty_thousand_tars(tmp_path: Path, few: int) -> None:
    """Opening checks the size of every tar; batches read the right tars, and few tars stay open."""
    root = made_set(tmp_path / "many", 100_000, each=2)
    split = ShardSet.open(root)["train"]
    shards = np.random.default_rng(0).permutation(50_000)
    for batch in np.split(shards, 200):
        places = split.places(2 * batch + 1)
        names = [Path(f"/proc/self/fd/{descriptor}").readlink().name for descriptor in places.descriptors]
        assert names == [f"train-{number:06d}.tar" for number in batch]
        del places
        assert len(open_tars()) == few
    (root / "train-049999.tar").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"train-049999\.tar: 3 bytes, but the manifest says 9,216"):
        ShardSet.open(root)
