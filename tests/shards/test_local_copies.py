"""`headrace cache`: what it lists, removes and checks, and what it leaves alone."""

import hashlib
import os
from pathlib import Path

import pytest

from headrace.shards import local_copies
from headrace.shards.manifest import load
from headrace.shards.stage import Stage
from headrace.shards.stage_lock import opened_shared
from headrace.shards.user_cache import private_folder
from tests.e2e.commands import here, refused


@pytest.fixture
def stage(tmp_path: Path, tiny_set: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage that holds a whole set, as if it had been fetched, and one tar that belongs to no set."""
    monkeypatch.setenv("HEADRACE_STAGE_DIR", str(tmp_path / "stage"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stage, manifest = Stage.of(), load(tiny_set)
    folder = stage.set_folder(manifest.digest) / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / ".url").write_text("s3://bucket/set\n")
    for name in ("shardset.json", "train.parquet", "val.parquet"):
        (folder / name).write_bytes((tiny_set / name).read_bytes())
    for split in manifest.splits:
        for shard in split.shards:
            _put(stage, shard.sha256, (tiny_set / shard.name).read_bytes())
    _put(stage, hashlib.sha256(b"other").hexdigest(), b"other")
    return stage


def _put(stage: Stage, sha256: str, content: bytes) -> None:
    path = stage.tar(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def tars(stage: Stage) -> int:
    """The number of whole tars in the stage."""
    return sum(one.whole for one in stage.tars())


def test_list_says_what_is_there_and_what_is_used(stage: Stage, tiny_set: Path, tmp_path: Path) -> None:
    """The list has a line for each set, for tars of unknown sets, for decoded images and for compiled loops."""
    decoded = tmp_path / "set.decoded" / "train.rgb"
    decoded.parent.mkdir()
    decoded.write_bytes(bytes(100))
    local_copies.note_decoded(decoded)
    loops = private_folder("loops")
    assert loops is not None
    (loops / "a.nbi").write_bytes(bytes(50))
    with decoded.open("rb"):
        found = {one.what: one for one in local_copies.list_copies(stage)}
    own = found["tars of s3://bucket/set"]
    assert (own.files, own.bytes) == (7, sum(path.stat().st_size for path in tiny_set.glob("*.tar")))
    assert not own.used
    assert found["tars of unknown sets"].bytes == 5
    assert (found["decoded images"].bytes, found["decoded images"].used) == (100, True)
    assert (found["compiled loops"].bytes, found["compiled loops"].used) == (50, False)
    hold = stage.hold(stage.set_folder(load(tiny_set).digest))
    assert "in use" in next(line for line in here("cache", "list").stdout.splitlines() if "s3://bucket/set" in line)
    del hold


def test_clear_removes_nothing_that_is_used(stage: Stage, tiny_set: Path, tmp_path: Path) -> None:
    """A set held by a process, a tar being read, and decoded images that are open all stay."""
    decoded = tmp_path / "set.decoded" / "train.rgb"
    decoded.parent.mkdir()
    decoded.write_bytes(bytes(100))
    local_copies.note_decoded(decoded)
    hold = stage.hold(stage.set_folder(load(tiny_set).digest))
    with decoded.open("rb"):
        assert here("cache", "clear").stdout == "5 bytes removed\n"
    assert tars(stage) == 7
    del hold
    descriptor = opened_shared(next(one.path for one in stage.tars()))
    assert descriptor is not None
    assert here("cache", "clear").code == 0
    assert tars(stage) == 1
    os.close(descriptor)
    assert here("cache", "clear").code == 0
    assert (tars(stage), stage.set_folders(), decoded.exists()) == (0, [], False)


def test_clear_sees_through_links(stage: Stage, tmp_path: Path) -> None:
    """A file that is noted by a path with a link is known to be used, though the system gives its path without."""
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    decoded = tmp_path / "linked" / "train.rgb"
    decoded.write_bytes(bytes(100))
    local_copies.note_decoded(decoded)
    with decoded.open("rb"):
        local_copies.clear_copies(stage)
        assert decoded.exists()
    local_copies.clear_copies(stage)
    assert not decoded.exists()


@pytest.mark.parametrize("command", ["prep", "verify"])
def test_files_of_a_command_that_was_killed(stage: Stage, command: str) -> None:
    """The files are listed and removed, but not while such a command runs."""
    folder = stage.work_folder(command)
    hold = stage.hold(folder)
    (folder / "left").write_bytes(bytes(30))
    found = {one.where: one for one in local_copies.list_copies(stage)}[str(folder)]
    assert (found.files, found.bytes, found.used) == (1, 30, True)
    assert here("cache", "clear").code == 0
    assert (folder / "left").exists()
    hold.close()
    assert not {one.where: one for one in local_copies.list_copies(stage)}[str(folder)].used
    assert here("cache", "clear").code == 0
    assert not folder.exists()
    assert str(folder) not in {one.where for one in local_copies.list_copies(stage)}


def test_verify_removes_what_is_damaged(stage: Stage) -> None:
    """A tar and an index with a flipped byte are found and removed; a second check finds nothing."""
    tar = next(one.path for one in stage.tars() if one.bytes > 5)
    (index,) = stage.folder.glob("sets/*/*/val.parquet")
    for path in (tar, index):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    ended = here("cache", "verify")
    assert ended.code == 3
    assert ended.stdout.count("damaged; removed") == 2
    assert "2 damaged files" in ended.stderr
    assert not tar.exists()
    assert not index.exists()
    assert "are intact" in here("cache", "verify").stdout


def test_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusable folder gives one line of error, and nothing is changed."""
    monkeypatch.setenv("HEADRACE_STAGE_DIR", str(tmp_path))
    tmp_path.chmod(0o777)
    refused(here("cache", "clear"), 2, "chmod 700")
