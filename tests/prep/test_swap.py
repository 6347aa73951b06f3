"""`--if-exists rebuild` swaps a set for a new one: at every moment one of the two is there, or comes back."""

import threading
from pathlib import Path

import pytest

from prep.options import Options
from shards import store
from shards.errors import DataError, UsageError
from shards.shardset import ShardSet
from tests.prep.sources import as_zip, small
from tests.prep.test_convert import SHARDS, Stop, contents, make

OTHER = Options(samples_per_shard=4, seed=9)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small source with a set made of it."""
    (tmp_path / "in").mkdir()
    source = as_zip(small(), tmp_path / "in" / "a.zip")
    make(source, tmp_path / "out")
    make(source, tmp_path / "other", OTHER)
    return source


def end_in_the_gap(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebuild with other options, and end as if killed between the two renames of a swap that takes two."""
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
    """After an end in the gap the next prep finds the old set, unharmed, and reuses it."""
    before = contents(tmp_path / "out")
    end_in_the_gap(source, tmp_path / "out", monkeypatch)
    assert make(source, tmp_path / "out").reused
    assert contents(tmp_path / "out") == before


def test_swap_is_done_again(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an end in the gap the same command makes the new set, and nothing of either swap is left."""
    end_in_the_gap(source, tmp_path / "out", monkeypatch)
    assert not make(source, tmp_path / "out", OTHER, if_exists="rebuild").reused
    assert contents(tmp_path / "out") == contents(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "other", "out"]


@pytest.mark.parametrize("exchange", [True, False])
def test_failed_rebuild_keeps_the_old_set(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    """A rebuild that fails before its end leaves the old set as it was; one that succeeds leaves no trace of it."""
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
    """While a set is swapped again and again, whoever opens it finds the one or the other, never nothing."""
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
