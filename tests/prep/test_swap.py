"""`--if-exists rebuild` swaps a set for a new one: at any moment one of the two exists or can be recovered."""

import shutil
import threading
from pathlib import Path

import pytest

from headrace.prep.adopt import adopt
from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards import store
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import NAME
from headrace.shards.names import STAMP
from headrace.shards.shardset import ShardSet
from tests.prep.contents import as_zip, small
from tests.prep.test_convert import SHARDS, Stop, contents, make, quiet

OTHER = Options(samples_per_shard=4, seed=9)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small source with the set made from it."""
    (tmp_path / "in").mkdir()
    source = as_zip(small(), tmp_path / "in" / "a.zip")
    make(source, tmp_path / "out")
    make(source, tmp_path / "other", OTHER)
    return source


def end_in_the_gap(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebuild with other options, and stop as if killed between the two renames of a two-step swap."""
    rename = Path.rename

    def dying(self: Path, target: Path) -> Path:
        if target == out:
            raise Stop
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_exchange", lambda *_: False)
        patch.setattr(Path, "rename", dying)
        with pytest.raises(Stop):
            make(source, out, OTHER, if_exists="rebuild")
    assert not out.exists()


def test_old_set_comes_back(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an end between the renames the next prep finds the old set unharmed and reuses it."""
    before = contents(tmp_path / "out")
    end_in_the_gap(source, tmp_path / "out", monkeypatch)
    assert make(source, tmp_path / "out").reused
    assert contents(tmp_path / "out") == before


def test_swap_is_done_again(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an end between the renames the same command makes the new set, and leaves nothing else."""
    end_in_the_gap(source, tmp_path / "out", monkeypatch)
    assert not make(source, tmp_path / "out", OTHER, if_exists="rebuild").reused
    assert contents(tmp_path / "out") == contents(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "other", "out"]


@pytest.mark.parametrize("exchange", [True, False])
def test_failed_rebuild_keeps_the_old_set(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    """A failed rebuild leaves the old set unchanged; one that succeeds leaves no trace of it."""
    if not exchange:
        monkeypatch.setattr(store, "_exchange", lambda *_: False)
    before = contents(tmp_path / "out")
    files = small()
    files["train/n01/images/n01_1.JPEG"] = b"junk"
    as_zip(files, source)
    with pytest.raises(DataError):
        make(source, tmp_path / "out", if_exists="rebuild")
    assert contents(tmp_path / "out") == before
    as_zip(small(), source)
    make(source, tmp_path / "out", OTHER, if_exists="rebuild")
    assert contents(tmp_path / "out") == contents(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "other", "out"]


def test_reader_never_misses_the_set(source: Path, tmp_path: Path) -> None:
    """A reader that opens the set during many swaps always finds one of the two sets."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    if not store._exchange(tmp_path / "one", tmp_path / "two"):
        pytest.skip("the file system of the temporary folder cannot exchange two names in one step")
    seen, missed, stop = set(), [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add(ShardSet.open(tmp_path / "out").digest)
            except UsageError as error:
                missed.append(error)
            except DataError:
                pass  # the manifest of the one and a tar of the other: opened during the swap, and said so

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(6):
        make(source, tmp_path / "out", SHARDS if turn % 2 else OTHER, if_exists="rebuild")
    stop.set()
    reader.join()
    assert missed == []
    assert len(seen) == 2


def said_by_rebuild(source: Path, out: Path) -> list[str]:
    """Rebuild with other options, and return the messages."""
    said: list[str] = []
    prep(source, out, OTHER, workers=1, if_exists="rebuild", say=said.append)
    assert contents(out) == contents(out.with_name("other"))
    return said


def test_adopted_set_is_never_replaced(source: Path, tmp_path: Path) -> None:
    """No value of --if-exists replaces or suggests replacing adopted tars, which may be the only copies."""
    tars = tmp_path / "tars"
    tars.mkdir()
    shutil.copy(tmp_path / "out" / "train-000000.tar", tars)
    adopt(tars, say=quiet)
    before = contents(tars)
    for if_exists in ("reuse", "error", "rebuild"):
        with pytest.raises(UsageError, match=r"`headrace index` made this set from existing tars.*Choose another OUT$"):
            make(source, tars, OTHER, if_exists=if_exists)
    assert contents(tars) == before


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]"])
def test_folder_without_a_readable_manifest_is_kept(source: Path, tmp_path: Path, content: bytes | None) -> None:
    """A folder without a readable manifest is renamed and kept, which is reported."""
    (tmp_path / "out.old-1").mkdir()
    manifest = tmp_path / "out" / NAME
    manifest.unlink() if content is None else manifest.write_bytes(content)
    before = contents(tmp_path / "out")
    said = said_by_rebuild(source, tmp_path / "out")
    assert f"kept the previous content as {tmp_path / 'out.old-2'}" in said[-1]
    assert contents(tmp_path / "out.old-2") == before


@pytest.mark.parametrize("change", ["a foreign tar", "no stamp", "a manifest of prep's in an adopted set"])
def test_what_prep_did_not_make_is_kept(source: Path, tmp_path: Path, change: str) -> None:
    """A rebuild removes only files that prep is known to have written."""
    out = tmp_path / "out"
    if change == "a foreign tar":
        (out / "mine.tar").write_bytes(b"mine")
    else:
        (out / STAMP).unlink()
    if change.startswith("a manifest"):
        tars = tmp_path / "tars"
        tars.mkdir()
        shutil.copy(out / "train-000000.tar", tars)
        adopt(tars, say=quiet)
        shutil.copy(out / NAME, tars)
        out.rename(tmp_path / "in" / "gone")
        tars.rename(out)
    before = contents(out)
    assert "kept the previous content as" in said_by_rebuild(source, out)[-1]
    assert contents(tmp_path / "out.old-1") == before


def test_end_after_the_old_folder_was_set_aside(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill between the two renames, the same command makes the set, and the old one is kept."""
    (tmp_path / "out" / NAME).write_bytes(b"")
    before = contents(tmp_path / "out")

    def dying(*_: Path) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(store, "publish", dying)
        with pytest.raises(Stop):
            make(source, tmp_path / "out", OTHER, if_exists="rebuild")
    assert said_by_rebuild(source, tmp_path / "out") == ["continuing an interrupted run: 7 of 7 shards are done"]
    assert contents(tmp_path / "out.old-1") == before
