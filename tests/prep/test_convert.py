import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import Result, prep
from headrace.prep.make import publish, shard
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record
from headrace.prep.make.shard import Tick, Work
from headrace.prep.upload import refuse_url
from headrace.shards import store
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.names import REPORT, STAMP
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Url
from tests.prep.contents import Contents, as_folder, as_zip, small

SHARDS = Options(samples_per_shard=4)  # 18 training samples in 5 shards, 6 validation samples in 2


def quiet(_: str) -> None:
    """Say nothing."""


def make(source: Path, out: Path, options: Options = SHARDS, *, workers: int = 1, if_exists: str = "reuse") -> Result:
    """Run a prep in this process."""
    return prep(source, out, options, workers=workers, if_exists=if_exists, say=quiet)


def contents(out: Path) -> Contents:
    """The name and the bytes of each file of a set, except the file about this machine."""
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != STAMP}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small source, as a zip in a folder of its own."""
    (tmp_path / "in").mkdir()
    return as_zip(small(), tmp_path / "in" / "a.zip")


def test_set_holds_the_source(source: Path, tmp_path: Path) -> None:
    """Every image of the source is in the set once, with its bytes, label and path."""
    make(source, tmp_path / "out")
    shards, files = ShardSet.open(tmp_path / "out"), small()
    for name, count in (("train", 18), ("val", 6)):
        split = shards.split(name)
        images = [image.tobytes() for image in split.jpegs(np.arange(len(split)))]
        assert dict(zip(split.sources, images, strict=True)) == {
            path: data for path, data in files.items() if path.startswith(name) and path.endswith("JPEG")
        }
        assert len(split) == count
        if name == "train":
            assert [shards.class_ids[one] for one in split.labels] == [path.split("/")[1] for path in split.sources]
    assert [one.samples for one in shards.manifest.splits[0].shards] == [3, 4, 3, 4, 4]


def test_same_bytes_for_any_workers_and_any_form(source: Path, tmp_path: Path) -> None:
    """One process or three, from a zip or a folder, give equal files."""
    make(source, tmp_path / "one")
    make(source, tmp_path / "three", workers=3)
    make(as_folder(small(), tmp_path / "folder"), tmp_path / "from-folder", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "three") == contents(tmp_path / "from-folder")


def test_seed_changes_the_order_only(source: Path, tmp_path: Path) -> None:
    """Another seed distributes the same samples over shards in another way."""
    make(source, tmp_path / "a")
    make(source, tmp_path / "b", Options(samples_per_shard=4, seed=1))
    one, other = (ShardSet.open(tmp_path / name).split("train").sources for name in "ab")
    assert one != other
    assert sorted(one) == sorted(other)


def test_nothing_else_is_left(source: Path, tmp_path: Path) -> None:
    """Nothing is left beside the set, and the set has only the files of the format."""
    make(source, tmp_path / "out", workers=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {
        ".tar",
        ".idx",
        ".parquet",
        ".json",
        ".jsonl",
        ".stat",
    }


def test_second_prep_reuses(source: Path, tmp_path: Path) -> None:
    """The set for the same source and options is found at once, and nothing is written."""
    first = make(source, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    second = make(source, tmp_path / "out")
    assert (first.reused, second.reused) == (False, True)
    assert second.manifest == first.manifest
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times


def test_moved_source_is_the_same_source(source: Path, tmp_path: Path) -> None:
    """A source of equal contents with another name, time or form is recognised by its fingerprint."""
    make(source, tmp_path / "out")
    os.utime(source, (1, 1))
    assert make(source, tmp_path / "out").reused
    assert make(as_folder(small(), tmp_path / "folder"), tmp_path / "out").reused
    assert make(tmp_path / "folder", tmp_path / "out").reused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.pop("train/n01/images/n01_0.JPEG"), r"1 removed \(first train/n01/images/n01_0\.JPEG\)"),
        (lambda files: files.update({"train/n02/images/new.JPEG": files["val/images/0_0.JPEG"]}), "1 added"),
        (lambda files: files.update({"train/n02/images/n02_0.JPEG": files["val/images/0_0.JPEG"]}), "1 changed"),
        (lambda files: files.update({"words.txt": b""}), "the files with labels and class names"),
    ],
)
def test_changed_source_is_said(source: Path, tmp_path: Path, change: Callable[[Contents], object], words: str) -> None:
    """A changed source is an error that says what changed; rebuild then makes the set anew."""
    make(source, tmp_path / "out")
    before = contents(tmp_path / "out")
    files = small()
    change(files)
    as_zip(files, source)
    with pytest.raises(UsageError, match=f"its source changed: {words}.*--if-exists rebuild"):
        make(source, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    make(source, tmp_path / "fresh")
    assert not make(source, tmp_path / "out", if_exists="rebuild").reused
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_other_options_are_said(source: Path, tmp_path: Path) -> None:
    """A set made with other options is reported, and not reused."""
    make(source, tmp_path / "out")
    with pytest.raises(UsageError, match=r"--classes None \(now 2\), --seed 0 \(now 3\)"):
        make(source, tmp_path / "out", Options(samples_per_shard=4, seed=3, classes=2))
    with pytest.raises(UsageError, match="exists already"):
        make(source, tmp_path / "out", if_exists="error")


def test_foreign_folder_is_left_alone(source: Path, tmp_path: Path) -> None:
    """A folder that is not a shard set is never written to, even by a rebuild; an empty folder is filled."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    for if_exists in ("reuse", "error", "rebuild"):
        with pytest.raises(UsageError, match=r"out: it exists"):
            make(source, tmp_path / "out", if_exists=if_exists)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    assert not make(source, tmp_path / "empty").reused


def test_target_inside_the_source(tmp_path: Path) -> None:
    """A set inside its own source is refused, since it would change the source."""
    source = as_folder(small(), tmp_path / "in")
    with pytest.raises(UsageError, match="lies inside the source"):
        make(source, source / "train" / "out")
    assert not (source / "train" / "out").exists()
    inside = Url("s3://bucket/in/out")
    for around in ("s3://bucket", "s3://bucket/in", "s3://bucket/in/out"):
        with pytest.raises(UsageError, match="lies inside the source"):
            refuse_url(Url(around), inside)
    refuse_url(Url("s3://bucket/i"), inside)


def test_damaged_set_is_not_reused(source: Path, tmp_path: Path) -> None:
    """A set with a tar of another size is an error with the remedy."""
    make(source, tmp_path / "out")
    (tmp_path / "out" / "train-000001.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"train-000001\.tar: 0 bytes.*rebuild"):
        make(source, tmp_path / "out")


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_image_ends_the_run_by_name(tmp_path: Path, workers: int) -> None:
    """An image that does not decode is named by its path in the source, and no set is made."""
    files = small()
    files["train/n02/images/n02_3.JPEG"] = files["train/n02/images/n02_3.JPEG"][:-40]
    with pytest.raises(DataError, match=r"train/n02/images/n02_3\.JPEG: not a sound JPEG: .*--on-bad skip"):
        make(as_zip(files, tmp_path / "a.zip"), tmp_path / "out", workers=workers)
    assert not (tmp_path / "out").exists()


def test_bad_images_can_be_left_out(tmp_path: Path) -> None:
    """With skip the other images keep their keys, and the report has path and reason of each bad image."""
    files = small()
    make(as_zip(files, tmp_path / "good.zip"), tmp_path / "good")
    files["train/n02/images/n02_3.JPEG"] = b"junk"
    files["val/images/1_0.JPEG"] = b""
    options = Options(samples_per_shard=4, on_bad="skip")
    make(as_zip(files, tmp_path / "a.zip"), tmp_path / "out", options)
    good, rest = (ShardSet.open(tmp_path / name).split("train") for name in ("good", "out"))
    expected = dict(zip(good.sources, good.keys, strict=True))
    del expected["train/n02/images/n02_3.JPEG"]
    assert dict(zip(rest.sources, rest.keys, strict=True)) == expected
    notes = [json.loads(line) for line in (tmp_path / "out" / REPORT).read_text().splitlines()]
    assert [note["source"] for note in notes if note["action"] == "skipped" and note["source"].endswith("JPEG")] == [
        "train/n02/images/n02_3.JPEG",
        "val/images/1_0.JPEG",
    ]
    assert make(tmp_path / "a.zip", tmp_path / "out", options).reused
    os.utime(tmp_path / "a.zip", (1, 1))
    assert make(tmp_path / "a.zip", tmp_path / "out", options).reused


class Stop(Exception):  # noqa: N818
    """Ends a run at a given shard."""


def stop_after(monkeypatch: pytest.MonkeyPatch, shards: int) -> list[str]:
    """Let a run in this process make this many shards and then stop; returns the names of the shards begun."""
    begun: list[str] = []

    def make_shard(job: Job, work: Work, tick: Tick) -> Record:
        if len(begun) == shards:
            raise Stop
        begun.append(job.name)
        return shard.make_shard(job, work, tick)

    monkeypatch.setattr("headrace.prep.make.engines.pool.make_shard", make_shard)
    return begun


@pytest.mark.parametrize("done", [0, 1, 4, 7])
def test_broken_off_run_is_continued(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    """Finished shards are kept, the others are made, and the bytes are those of an undisturbed run."""
    make(source, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, done)
        if done < 7:
            with pytest.raises(Stop):
                make(source, tmp_path / "out")
        else:
            patch.setattr(publish, "write_set", stop)
            with pytest.raises(Stop):
                make(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    begun = stop_after(monkeypatch, 99)
    make(source, tmp_path / "out")
    assert len(begun) == 7 - done
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]


def stop(*_: object) -> None:
    """Stop the run."""
    raise Stop


def test_remains_of_another_plan_are_dropped(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of an interrupted run is used after options or source changed."""
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Stop):
            make(source, tmp_path / "out", Options(samples_per_shard=4, seed=5))
    make(source, tmp_path / "out")
    make(source, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_source_that_changes_meanwhile(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that changes while prep reads it gives an error and no set."""

    def touched(job: Job, work: Work, tick: Tick) -> Record:
        os.utime(source, (5, 5))
        return shard.make_shard(job, work, tick)

    monkeypatch.setattr("headrace.prep.make.engines.pool.make_shard", touched)
    with pytest.raises(DataError, match="changed while prep read it"):
        make(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_small_a_disk_is_said_before_work(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set too large for the disk is refused before any work."""
    monkeypatch.setattr(store, "free_bytes", lambda _: 1000)
    with pytest.raises(HeadraceError, match="1,000 bytes are free there, but about"):
        make(source, tmp_path / "out")


@pytest.mark.parametrize("options", [{"seed": -1}, {"classes": 0}, {"per_class": 0}, {"samples_per_shard": 0}])
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    """A number that makes no sense is named with its option."""
    with pytest.raises(UsageError, match=f"--{next(iter(options)).replace('_', '-')}"):
        Options(**options)
