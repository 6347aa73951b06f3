"""Which folders are classes, and what happens to classes without usable files."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import Result, prep
from headrace.prep.make.engines.pool import make_shards
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record
from headrace.prep.summary import summary
from headrace.shards.errors import DataError, UsageError
from headrace.shards.shardset import ShardSet
from tests.prep.contents import Contents, as_folder, as_zip
from tests.prep.damage import tree
from tests.prep.sources.test_imagefolder import as_tar

JPEG = next(iter(tree().values()))
GOOD: Contents = {f"{name}/{k}.jpg": JPEG for name in ("ant", "cat", "dog") for k in range(3)}
NOTES: Contents = {"bee/notes.txt": b"none yet", "bee/.DS_Store": b"x"}
SPOILT: Contents = {f"bee/{k}.jpg": b"junk" for k in range(3)}


def made(files: Contents, folder: Path, **options: object) -> Result:
    """The set of one tree, in the folder `folder`/out."""
    source = as_folder(files, folder / "in")
    chosen = Options(**{"val_fraction": 0, **options})  # type: ignore[arg-type]
    return prep(source, folder / "out", chosen, workers=1, if_exists="error", say=lambda _: None)


@pytest.mark.parametrize("form", ["folder", "zip", "tar"])
def test_folder_without_any_file_is_no_class(form: str, tmp_path: Path) -> None:
    """The summary names a folder that is empty or has only hidden files, unless the folder itself is hidden."""
    files = GOOD | {"owl/.DS_Store": b"x", ".git/config": b"x", "__MACOSX/._a": b"x"}
    if form == "folder":
        source = as_folder(files, tmp_path / "in")
        (source / "bee" / "deep").mkdir(parents=True)
    elif form == "zip":
        source = as_zip(files | {"bee/": b"", "bee/deep/": b""}, tmp_path / "a.zip")
    else:
        source = as_tar({f"./x/{path}": data for path, data in files.items()}, tmp_path / "a.tar", "w")
        add_folders(source, "x/bee", "x/bee/deep")
    result = prep(source, tmp_path / "out", Options(val_fraction=0), workers=1, if_exists="error", say=lambda _: None)
    assert [one.id for one in result.manifest.classes] == ["ant", "cat", "dog"]
    assert (
        "  folders without files, which are not classes: bee/, owl/" in summary(result, tmp_path / "out").splitlines()
    )


def add_folders(path: Path, *names: str) -> None:
    """Add folders to a tar."""
    import tarfile

    with tarfile.open(path, "a") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (NOTES, r"bee \(1 not an image\)"),
        (SPOILT, r"bee \(3 do not decode\)"),
        (NOTES | SPOILT, r"bee \(3 do not decode"),
    ],
)
def test_class_whose_files_are_all_refused(more: Contents, words: str, tmp_path: Path) -> None:
    """The class ends the run by name, is dropped and the others renumbered, or keeps its label, as told."""
    skip = {"on_bad": "skip"}
    with pytest.raises(DataError, match=f"1 class has no training image.*{words}.*--on-empty-class drop"):
        made(GOOD | more, tmp_path, **skip)
    for policy, classes in (("drop", ["ant", "cat", "dog"]), ("keep", ["ant", "bee", "cat", "dog"])):
        folder = tmp_path / policy
        result = made(GOOD | more, folder, **skip, on_empty_class=policy)
        assert [one.id for one in result.manifest.classes] == classes
        split = ShardSet.open(folder / "out").split("train")
        assert [classes[label] for label in split.labels] == [path.split("/")[0] for path in split.sources]
        report = [json.loads(line)["source"] for line in (folder / "out/report.jsonl").read_text().splitlines()]
        assert sorted(report) == sorted(more)
        assert ("classes without a train image: bee" in summary(result, folder)) == (policy == "keep")


def test_dropped_class_takes_its_other_images_along(tmp_path: Path) -> None:
    """Validation images of a class without a training image are reported, with the option as the reason."""
    files = {f"{split}/{path}": data for split in ("train", "val") for path, data in GOOD.items()}
    files |= {"train/bee/notes.txt": b"x", "val/bee/1.jpg": JPEG, "train/emu/1.jpg": b"junk", "val/emu/2.jpg": JPEG}
    source = as_folder(files, tmp_path / "in")
    options = Options(on_bad="skip", on_empty_class="drop")
    result = prep(source, tmp_path / "out", options, workers=2, if_exists="error", say=lambda _: None)
    assert [one.id for one in result.manifest.classes] == ["ant", "cat", "dog"]
    shards = ShardSet.open(tmp_path / "out")
    assert [len(shards.split(name)) for name in ("train", "val")] == [9, 9]
    report = {one["source"]: one["reason"] for one in map(json.loads, (tmp_path / "out/report.jsonl").open())}
    assert report["val/bee/1.jpg"] == report["val/emu/2.jpg"] == "left out by an option: --on-empty-class drop"
    assert result.tally.bad == {"emu": 1}


@pytest.mark.parametrize("workers", [1, 2])
def test_classes_are_dropped_before_a_shard_is_made(workers: int, tmp_path: Path) -> None:
    """Every shard is made only once, and the set equals that of a source without the dropped classes."""
    options = Options(val_fraction=0, on_bad="skip", on_empty_class="drop", samples_per_shard=3)
    begun: list[str] = []

    def make_all(jobs: list[Job], *rest: Any) -> Iterator[Record]:
        begun.extend(job.name for job in jobs)
        return make_shards(jobs, *rest)

    digests = []
    for name, files in (("spoilt", GOOD | SPOILT), ("sound", GOOD)):
        source = as_folder(files, tmp_path / name)
        result = prep(
            source, tmp_path / f"{name}.out", options, workers=workers, if_exists="error", say=print, engine=make_all
        )
        digests.append(result.manifest.digest)
        assert begun == [f"train-{number:06}" for number in range(3)]
        begun.clear()
    assert digests[0] == digests[1]


def test_all_classes_refused_ends_the_run_whatever_is_asked_for(tmp_path: Path) -> None:
    """A set without samples is never made."""
    with pytest.raises(DataError, match="2 classes have no training image"):
        made({"a/1.jpg": b"junk", "b/1.jpg": b""}, tmp_path, on_bad="skip", on_empty_class="drop")


def test_each_class_keeps_a_training_image(tmp_path: Path) -> None:
    """Any validation share leaves each class a training image; classes without a validation image are named."""
    result = made(GOOD | {"bee/1.jpg": JPEG}, tmp_path, val_fraction=0.9)
    shards = ShardSet.open(tmp_path / "out")
    counts = {name: np.bincount(shards.split(name).labels, minlength=4).tolist() for name in ("train", "val")}
    assert counts == {"train": [1, 1, 1, 1], "val": [2, 0, 2, 2]}
    assert "  classes without a val image: bee" in summary(result, tmp_path).splitlines()


def test_set_without_dropped_classes_is_of_the_same_source(tmp_path: Path) -> None:
    """A new time on unchanged bytes is not a change, even after a class was dropped while decoding."""
    options = Options(val_fraction=0, on_bad="skip", on_empty_class="drop")
    source = as_folder(GOOD | SPOILT, tmp_path / "in")
    for if_exists in ("error", "reuse"):
        result = prep(source, tmp_path / "out", options, workers=1, if_exists=if_exists, say=lambda _: None)
        assert result.reused == (if_exists == "reuse")
        os.utime(source / "ant/1.jpg", (1, 1))
    (source / "bee/1.jpg").write_bytes(b"other")
    with pytest.raises(UsageError, match="its source changed"):
        prep(source, tmp_path / "out", options, workers=1, if_exists="reuse", say=lambda _: None)
