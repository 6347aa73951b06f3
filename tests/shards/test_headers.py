import os
import random
from pathlib import Path

import numpy as np
import pytest

from headrace.shards import headers, system
from headrace.shards.errors import DataError
from headrace.shards.headers import refuse_unsafe
from headrace.shards.manifest import load
from headrace.shards.shardset import ShardSet
from headrace.shards.unsafe import why_unsafe, why_unsafe_at
from tests.prep.odd_jpegs import after_start, base, exif, segment
from tests.shards.older_sets import KEY, TWO_EXIF, older_set


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds the notes of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/headrace/headers"


def no_reading(*_: object) -> bytes:
    """Fail: stands in for a read where no tar may be read."""
    raise AssertionError("a tar was read")


def test_a_set_is_looked_at_once(tiny_set: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first check leaves an empty note in a private folder, not in the set; later checks read no tar."""
    before = sorted(tiny_set.iterdir())
    refuse_unsafe(ShardSet.open(tiny_set))
    (note,) = notes.iterdir()
    assert (note.parent.stat().st_mode & 0o777, note.stat().st_size) == (0o700, 0)
    assert sorted(tiny_set.iterdir()) == before
    monkeypatch.setattr(system, "pread", no_reading)
    refuse_unsafe(ShardSet.open(tiny_set))


def test_a_note_is_of_one_set(tiny_set: Path, notes: Path, tmp_path: Path) -> None:
    """The note of one set says nothing about another set."""
    refuse_unsafe(ShardSet.open(tiny_set))
    with pytest.raises(DataError, match=rf"key {KEY} .*two EXIF segments.*headrace verify"):
        refuse_unsafe(ShardSet.open(older_set(tmp_path, *TWO_EXIF)))
    assert len(list(notes.iterdir())) == 1


def test_a_note_is_of_one_index(tiny_set: Path, notes: Path) -> None:
    """A set with another index needs another note: its digest does not cover where the images begin."""
    manifest = load(tiny_set)
    headers.remember(manifest)
    first, *others = manifest.splits
    other = first.model_copy(update={"index": first.index.model_copy(update={"sha256": "0" * 64})})
    headers.remember(manifest.model_copy(update={"splits": (other, *others)}))
    assert len(list(notes.iterdir())) == 2


def test_without_a_cache_folder_every_run_looks(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a writable cache folder has the set checked in every run."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    refuse_unsafe(ShardSet.open(tiny_set))
    with pytest.raises(DataError, match="two EXIF segments"):
        refuse_unsafe(ShardSet.open(older_set(tmp_path, *TWO_EXIF)))


def test_damage_is_called_damage(tmp_path: Path, notes: Path) -> None:
    """A header that changed after it was written is reported as damage, which has a different remedy."""
    root = older_set(tmp_path)
    split = ShardSet.open(root).split("train")
    with (root / "train-000000.tar").open("r+b") as tar:
        tar.seek(int(split.places(np.array([3])).offsets[0]) + 2)
        tar.write(b"\xff\x01")
    with pytest.raises(DataError, match=rf"key {KEY} .*CRC-32"):
        refuse_unsafe(ShardSet.open(root))
    assert not notes.exists() or not list(notes.iterdir())


@pytest.mark.parametrize("before", [0, 3_000, 5_000, 60_000, 200_000])
@pytest.mark.parametrize("faulty", [False, True])
def test_headers_of_any_length(before: int, faulty: bool, tmp_path: Path) -> None:
    """A file is read as far as its headers extend."""
    parts = [segment(0xE2, bytes(min(60_000, before - at))) for at in range(0, before, 60_000)]
    jpeg = after_start(base(random.Random(5)), *parts, *(TWO_EXIF if faulty else (exif(6),))) + bytes(300_000)
    (tmp_path / "image").write_bytes(bytes(70) + jpeg)
    descriptor = os.open(tmp_path / "image", os.O_RDONLY)
    assert why_unsafe_at(descriptor, 70, len(jpeg)) == why_unsafe(jpeg) == ("two EXIF segments" if faulty else "")
    os.close(descriptor)
