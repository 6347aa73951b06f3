"""Filling the decoded cache: killed, by two runs at once, on a full disk, from damaged samples."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headrace.shards.errors import DataError
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.decode import cache_fill
from headrace.train.input.decode.cache import CacheFile, plan_caches
from headrace.train.input.decode.cache_fill import open_caches
from headrace.train.input.decode.regions import Regions
from headrace.train.machine.world import World
from tests.checkout import SEARCH
from tests.faults.test_disk import mounted
from tests.train import pictures
from tests.train.input.decode.caches import made
from tests.train.pictures import Pixels, picture

FILL = """
import sys, time
from pathlib import Path
from headrace.shards.shardset import ShardSet
from headrace.train.input.decode import cache_fill as filling
from headrace.train.input.decode.cache import plan_caches
from headrace.train.machine.world import World
decode = filling.decode_all
def hanging(*given, **named):
    for images in decode(*given, **named):
        yield images
        print("decoded", flush=True)
        time.sleep(60)
filling.decode_all = hanging
shards = ShardSet.open(Path(sys.argv[1]))
files, _ = plan_caches(shards, ("train",), Path(sys.argv[2]))
filling.open_caches(shards, files, World(), 1, lambda line: print(line, flush=True))
"""


def test_killed_fill_leaves_nothing_that_looks_finished(tiny_set: Path, tmp_path: Path) -> None:
    """After SIGKILL during a fill there is no cache; the next run makes it and removes the remains."""
    shards = ShardSet.open(tiny_set)
    command = [sys.executable, "-c", FILL, str(tiny_set), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": SEARCH}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "decoded\n"
        process.send_signal(signal.SIGKILL)
    file = CacheFile.of(shards, "train", tmp_path)
    assert not file.ready
    assert [path.stat().st_size for path in file.unfinished] == [file.size]  # its space was taken at once
    pixels = made(shards, tmp_path)["train"]
    images, _ = pixels.read(np.arange(480), Regions.whole(*np.full((2, 480), 64, np.int32)))
    assert len(images.arrays()) == 480
    assert [path.name for path in tmp_path.iterdir()] == [file.path.name]


def test_two_runs_at_once_make_it_once(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that finds another run filling the cache waits, and reads the same file."""
    monkeypatch.setattr(cache_fill, "_TURN_SECONDS", 0.0)
    shards, said = ShardSet.open(tiny_set), list[str]()
    files, _ = plan_caches(shards, ("train",), tmp_path)
    first, second = (cache_fill._prepare(shards, files, 1, say) for say in (print, said.append))
    assert next(first)
    assert [next(second), next(second)] == [True, True]
    assert said == [f"cache    {files[0].path}: another run is making it; waiting"]
    assert list(first) == [True]
    before = files[0].path.stat().st_ino
    assert list(second) == []
    assert files[0].path.stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == [files[0].path.name]


def test_disk_that_fills_up_meanwhile(tiny_set: Path, tmp_path: Path) -> None:
    """Missing space when the fill begins is an error before anything is decoded, and nothing is left."""
    shards = ShardSet.open(tiny_set)
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m", "headrace-test") as disk:
        files, _ = plan_caches(shards, ("train",), disk)
        (disk / "other").write_bytes(bytes(5_000_000))
        with pytest.raises(Exception, match="the disk is full"):
            open_caches(shards, files, World(), 1, print)
        assert [path.name for path in disk.iterdir()] == ["other"]


def test_damaged_sample_ends_the_fill(tiny_set: Path, tmp_path: Path) -> None:
    """If a sample's bytes differ from the index, the fill ends with shard and key, and leaves nothing."""
    folder = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    with (folder / "train-000001.tar").open("r+b") as tar:
        tar.seek(700)
        tar.write(b"\0\0\0\0")
    with pytest.raises(DataError, match=r"train-000001\.tar, key 000000096 .*CRC-32"):
        made(ShardSet.open(folder), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def spoiled(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Pixels], Pixels]) -> ShardSet:
    """Return a set with other bytes for sample 300, as if prep had admitted them."""
    shards = ShardSet.open(root)
    opened = shards.split

    def split(name: str) -> Split:
        found = opened(name)
        pictures.spoiled(found, 300, spoil, folder)
        return found

    monkeypatch.setattr(shards, "split", split)
    return shards


def test_sample_that_does_not_decode_ends_the_fill(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names an image that was admitted and does not decode.

    The image is truncated in its scan. If a file ends in its header, DALI's threads may crash (its error path has a
    race), but the checksum of each sample keeps such files from DALI.
    """
    shards = spoiled(tiny_set, tmp_path, monkeypatch, lambda jpeg: jpeg[: len(jpeg) * 3 // 5])
    with pytest.raises(DataError, match=r"train-000003\.tar, key 000000300 .*does not decode"):
        made(shards, tmp_path / "cache")


def test_image_of_another_size_ends_the_fill(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image whose size differs from the index is an error, because offsets follow from the sizes in the index."""
    shards = spoiled(tiny_set, tmp_path, monkeypatch, lambda _: np.frombuffer(picture(32, 128), np.uint8))
    with pytest.raises(DataError, match=r"key 000000300 .*decodes to \(128, 32, 3\), but the index says \(64, 64, 3\)"):
        made(shards, tmp_path / "cache")
