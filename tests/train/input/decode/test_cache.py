"""The file of the decoded cache: its path, its key, its size, and whether it fits."""

import os
from pathlib import Path

import pytest

from headrace.shards.errors import DataError, UsageError
from headrace.shards.shardset import ShardSet
from headrace.train.input.decode import cache
from headrace.train.input.decode.cache import CacheFile, plan_caches
from headrace.train.input.decode.cached import Decoded
from headrace.train.machine import capacity
from headrace.train.recipe.recipe import load_recipe
from tests.faults.test_disk import mounted
from tests.train.input.decode.caches import IMAGE, made
from tests.train.pictures import picture, split_of


def test_second_run_reuses_the_cache(tiny_set: Path, tmp_path: Path) -> None:
    """The first run makes both files and prints their sizes; the second run leaves them unchanged."""
    shards, said = ShardSet.open(tiny_set), list[str]()
    made(shards, tmp_path, "train", "val", said=said)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(name.partition("-")[0] for name in before) == ["train", "val"]
    made(shards, tmp_path, "train", "val", said=said)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert "480 decoded images, 5.9 MB, made in " in said[0]
    assert [line.rpartition(", ")[2] for line in said[2:]] == ["reused", "reused"]


def test_lies_beside_the_shard_set(tiny_set: Path) -> None:
    """Without a given folder, the cache is in a folder beside the shard set."""
    file = CacheFile.of(ShardSet.open(tiny_set), "val", None)
    assert file.path.parent == tiny_set.parent / "set.decoded"


def cut(path: Path) -> None:
    """Remove the last image from the file."""
    os.truncate(path, path.stat().st_size - IMAGE)


def lengthen(path: Path) -> None:
    """Add a byte to the file."""
    with path.open("ab") as stream:
        stream.write(b"\0")


def of_another_version(path: Path) -> None:
    """Replace the file with a cache without checksums, as an earlier version wrote it."""
    with path.open("r+b") as stream:
        stream.write(path.read_bytes()[:100].replace(b"cache 2\n", b"cache 1\n"))


@pytest.mark.parametrize("harm", [cut, lengthen, of_another_version], ids=lambda harm: harm.__name__)
def test_harmed_cache_is_refused_and_made_again(tiny_set: Path, tmp_path: Path, harm: object) -> None:
    """A file of another size or key is never read: opening it is an error, and the next run makes it again."""
    shards = ShardSet.open(tiny_set)
    made(shards, tmp_path)
    file = CacheFile.of(shards, "train", tmp_path)
    sound = file.path.read_bytes()
    harm(file.path)  # type: ignore[operator]
    with pytest.raises(DataError, match="Start again: the next run rebuilds the cache"):
        Decoded(file, shards)
    made(shards, tmp_path)
    assert file.path.read_bytes() == sound


def test_key_follows_set_split_and_decoder(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another shard set, split or decoder version has another file, so an outdated one is never read."""
    split_of([picture(64, 64)] * 2, tmp_path)
    one, other = ShardSet.open(tiny_set), ShardSet.open(tmp_path / "set")
    names = [CacheFile.of(shards, name, tmp_path).path for shards in (one, other) for name in ("train", "val")]
    assert CacheFile.of(ShardSet.open(tiny_set), "train", tmp_path).path == names[0]
    monkeypatch.setattr(cache, "_DECODERS", ("numpy",))
    names.append(CacheFile.of(one, "train", tmp_path).path)
    assert len(set(names)) == 5


def test_full_disk_is_refused_with_numbers(tiny_set: Path, tmp_path: Path) -> None:
    """The error gives needed and free space before anything is made; a later split without space is omitted."""
    shards = ShardSet.open(tiny_set)
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=3m", "headrace-test") as disk:
        with pytest.raises(UsageError, match=r"needs 5\.9 MB, but only 3\.1 MB are free in .*disk.*runtime\.cache_dir"):
            plan_caches(shards, ("train", "val"), disk)
        assert list(disk.iterdir()) == []
    with mounted(tmp_path / "larger", "-t", "tmpfs", "-o", "size=6m", "headrace-test") as disk:
        files, remark = plan_caches(shards, ("train", "val"), disk)
        assert [file.split for file in files] == ["train"]
        assert remark.startswith(
            "the split val is decoded in every epoch: the decoded split val needs 1.5 MB, but only 0.4 MB"
        )


def test_small_memory_is_refused_with_numbers(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that would not fit in memory is refused, unless it exists already."""
    shards = ShardSet.open(tiny_set)
    made(shards, tmp_path / "there")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(capacity, "_MEMINFO", meminfo)
    with pytest.raises(UsageError, match=r"needs 5\.9 MB of memory .* may use only 4\.1 MB"):
        plan_caches(shards, ("train",), tmp_path / "new")
    files, remark = plan_caches(shards, ("train", "val"), tmp_path / "there")
    assert [file.split for file in files] == ["train"]
    assert "7.4 MB of memory" in remark


def test_mixed_decoding_does_not_go_with_it() -> None:
    """The cache has the CPU's pixels, so decode = mixed is refused."""
    with pytest.raises(UsageError, match="cache = decoded stores pixels that the CPU decodes"):
        load_recipe("demo", ["runtime.cache=decoded", "runtime.decode=mixed"])
