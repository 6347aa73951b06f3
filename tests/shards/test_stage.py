"""The stage without a server: which folder it accepts, how much it holds, and what it removes to make room."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from headrace.shards import stage_folder
from headrace.shards.errors import UsageError
from headrace.shards.stage import Stage
from headrace.shards.stage_lock import opened_shared, remove_unused
from headrace.shards.stage_room import Room, Wanted

SIZE = 1000


def sha(number: int) -> str:
    """The SHA-256 that names tar `number`."""
    return f"{number:064x}"


def put(stage: Stage, number: int, used: float = 0.0) -> Path:
    """Put a tar in the stage that was last used at this time."""
    path = stage.tar(sha(number))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(SIZE))
    os.utime(path, (used, used))
    return path


def names(stage: Stage) -> list[int]:
    """The numbers of the tars in the stage."""
    return sorted(int(one.sha256, 16) for one in stage.tars() if one.whole)


def wanted(number: int, choose: Iterable[int] = (), least: int = 0) -> Wanted:
    """A request for a tar, for which the tars of `choose` may be removed."""
    return Wanted(sha(number), SIZE, least, lambda staged: [sha(one) for one in choose if sha(one) in staged])


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage with room for four tars."""
    return Stage(tmp_path, 4 * SIZE)


def room_of(stage: Stage, numbers: Iterable[int], digest: str = "a" * 64) -> Room:
    """The room of a set that has these tars."""
    return Room(stage, digest, {sha(number): SIZE for number in numbers})


def test_unused_tars_of_other_sets_go_first_the_oldest_before_others(stage: Stage) -> None:
    """Only as many tars go as needed; tars of the same set go only when no others are left."""
    for number, used in ((1, 30.0), (2, 10.0), (3, 20.0), (10, 5.0)):
        put(stage, number, used)
    room = room_of(stage, range(10, 20))
    assert room.take(wanted(11, [10]))
    assert names(stage) == [1, 3, 10]
    assert room.take(wanted(12, [10]))
    assert names(stage) == [1, 10]
    assert room.take(wanted(13, [10]))
    assert room.take(wanted(14, [10]))
    assert names(stage) == []
    assert not room.take(wanted(15))
    assert not room.tight


def test_tars_of_a_set_in_use_stay(stage: Stage, tiny_set: Path) -> None:
    """No tar of a set that a living process holds is removed; two windows may exceed the limit, which is reported."""
    from headrace.shards.manifest import load

    manifest = load(tiny_set)
    folder = stage.set_folder(manifest.digest) / "x"
    folder.mkdir(parents=True)
    (folder / "shardset.json").write_bytes((tiny_set / "shardset.json").read_bytes())
    others = [shard.sha256 for split in manifest.splits for shard in split.shards][:4]
    for one in others:
        path = stage.tar(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(SIZE))
    hold = stage.hold(folder.parent)
    room = room_of(stage, range(10, 20))
    assert room.available() == 0
    assert not room.take(wanted(10))
    assert room.take(wanted(10, least=2 * SIZE))
    assert room.tight
    assert all(stage.tar(one).exists() for one in others)
    del hold
    assert room.available() == 4 * SIZE
    assert room.take(wanted(11))
    assert sum(stage.tar(one).exists() for one in others) == 2


def test_tar_that_is_open_is_never_removed(stage: Stage) -> None:
    """A reader holds the lock on an open tar, which can be removed once the last reader has closed it."""
    path = put(stage, 1)
    descriptor = opened_shared(path)
    assert descriptor is not None
    assert not remove_unused(path)
    os.close(descriptor)
    assert remove_unused(path)
    assert opened_shared(path) is None
    assert remove_unused(path)


def test_folder_that_cannot_be_trusted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is refused if others may write to it, or if it is on a network, where hosts would share locks."""
    monkeypatch.setenv("HEADRACE_STAGE_DIR", str(tmp_path / "mine"))
    assert Stage.of().folder == tmp_path / "mine"
    assert Stage.of(str(tmp_path / "named"), "1.5 MB") == Stage(tmp_path / "named", 1_500_000)
    (tmp_path / "mine").chmod(0o777)
    with pytest.raises(UsageError, match="chmod 700"):
        Stage.of()
    (tmp_path / "mine").chmod(0o700)
    monkeypatch.setattr(stage_folder, "file_system", lambda _: "nfs4")
    with pytest.raises(UsageError, match="on a network"):
        Stage.of()


@pytest.mark.parametrize("text", ["200", "0x5GB", "-1GB", "1e3GB", "GB", "1GB "])
def test_limit_that_is_none(text: str, tmp_path: Path) -> None:
    """An invalid limit is refused with an example of a valid one."""
    with pytest.raises(UsageError, match="200GB"):
        Stage.of(str(tmp_path), text)


def test_url_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package to install."""
    import sys

    from headrace import ShardSet

    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UsageError, match=r"pip install 'headrace\[cloud\]'"):
        ShardSet.open("s3://bucket/set")
