"""--dedupe exact: one of equal files stays by rule, the others are named, and the rest of prep works as before."""

import json
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.part import Part, prep_part
from headrace.prep.sources import source as source_module
from headrace.prep.sources import table
from headrace.prep.summary import summary
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import load
from headrace.shards.shardset import ShardSet
from tests.e2e.commands import here, refused
from tests.prep.contents import Contents, as_folder, as_zip
from tests.prep.test_golden import picture

Planted = list[tuple[str, str, int]]
_CLASSES, _SPLITS = ("ant", "bee", "cat"), ("train", "val", "test")
EXACT = Options(dedupe="exact", on_conflict="drop", samples_per_shard=4)
BASE: Contents = {
    f"{split}/{name}/base.jpg": picture(1000 + 10 * row + column)
    for row, split in enumerate(_SPLITS)
    for column, name in enumerate(_CLASSES)
}
"""An image of its own for each class in each split."""


def quiet(_: str) -> None:
    """Say nothing."""


def tree(planted: Planted) -> Contents:
    """The base files, and files drawn from a few pictures of equal size, so that many are equal."""
    return BASE | {f"{split}/{name}/{row}.jpg": picture(which) for row, (split, name, which) in enumerate(planted)}


def expected(files: Contents) -> tuple[set[str], dict[str, str]]:
    """The files that stay, and the reasons why others do not, found by comparing all pairs."""
    equal: defaultdict[bytes, list[str]] = defaultdict(list)
    for path, data in files.items():
        equal[data].append(path)
    stay: set[str] = set()
    gone: dict[str, str] = {}
    for paths in equal.values():
        classes = {path.split("/")[1] for path in paths}
        if len(classes) > 1:
            gone |= dict.fromkeys(paths, "a duplicate of a file of another class")
            continue
        first, *others = sorted(paths, key=lambda path: (("test", "val", "train").index(path.split("/")[0]), path))
        stay.add(first)
        gone |= dict.fromkeys(others, f"a duplicate of a file that is kept: {first}")
    return stay, gone


def made(source: Path, out: Path, options: Options = EXACT) -> bool:
    """Make the set, and return whether it already existed."""
    return prep(source, out, options, workers=1, if_exists="reuse", say=quiet).reused


def sources(out: Path) -> set[str]:
    """The source paths of the samples of a set."""
    shards = ShardSet.open(out)
    return {path for name in shards for path in shards[name].sources}


def files_of(out: Path) -> dict[str, bytes]:
    """All files of a set but the stamp, which has times."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != "source.stat"}


def reported(out: Path) -> dict[str, str]:
    """The reason in the report for each path."""
    path = out / "report.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    assert {line["action"] for line in lines} <= {"skipped"}
    return {line["source"]: line["reason"] for line in lines}


@settings(max_examples=12)
@given(
    st.lists(st.tuples(st.sampled_from(_SPLITS), st.sampled_from(_CLASSES), st.integers(0, 8)), max_size=24),
    st.booleans(),
    st.booleans(),
)
def test_right_one_stays(planted: Planted, small_chunks: bool, zipped: bool) -> None:
    """The right files of random trees stay, even with tiny chunks and buckets; a copied source reuses the set."""
    files = tree(planted)
    stay, gone = expected(files)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        if small_chunks:
            patch.setattr(table, "_BUCKET", 5)
            patch.setattr(table, "CHUNK", 3)
            patch.setattr(source_module, "CHUNK", 3)
        folder = Path(name)
        source = as_zip(files, folder / "a.zip", root="") if zipped else as_folder(files, folder / "a")
        assert not made(source, folder / "out")
        assert sources(folder / "out") == stay
        told = reported(folder / "out")
        conflicting = {path for path, reason in gone.items() if "kept" not in reason}
        assert {path: told[path] for path in gone.keys() - conflicting} == {
            path: reason for path, reason in gone.items() if path not in conflicting
        }
        for path in conflicting:
            what, _, other = told[path].partition(": ")
            assert (what, files[other]) == (gone[path], files[path])
            assert other.split("/")[1] != path.split("/")[1]
        assert told.keys() == gone.keys()
        assert made(source, folder / "out")
        copy = as_folder(files, folder / "b")
        assert made(copy, folder / "out")
        prep_part(copy, folder / "parts", EXACT, Part(2, 2), workers=1, say=quiet)
        made(copy, folder / "parts")
        assert files_of(folder / "parts") == files_of(folder / "out")


def test_conflict_ends_the_run(tmp_path: Path) -> None:
    """The error names two files and counts the images; with drop the set is made and both kinds are counted."""
    planted = [("train", "ant", 1), ("val", "bee", 1), ("train", "cat", 2), ("train", "ant", 2), ("train", "cat", 3)]
    source = as_folder(tree([*planted, ("test", "cat", 3)]), tmp_path / "a")
    ended = here("prep", source, tmp_path / "out", "--dedupe", "exact")
    refused(
        ended,
        3,
        "2 images in more than one class; for example, train/ant/0.jpg and val/bee/1.jpg",
        "--on-conflict drop",
    )
    result = prep(source, tmp_path / "out", EXACT, workers=1, if_exists="error", say=quiet)
    said = summary(result, tmp_path / "out")
    assert "4 files not used: a duplicate of a file of another class" in said
    assert "1 file not used: a duplicate of a file that is kept" in said


def test_class_that_loses_all_training_images(tmp_path: Path) -> None:
    """The class ends the run, is dropped or stays, as a class without images does."""
    files = tree([])
    files["train/bee/base.jpg"] = files["val/bee/base.jpg"]
    source = as_folder(files, tmp_path / "a")
    with pytest.raises(DataError, match=r"bee \(1 are duplicates\).*--on-empty-class"):
        made(source, tmp_path / "out", Options(dedupe="exact"))
    for policy, classes in (("drop", ["ant", "cat"]), ("keep", ["ant", "bee", "cat"])):
        made(source, tmp_path / policy, Options(dedupe="exact", on_empty_class=policy))
        assert [one.id for one in load(tmp_path / policy).classes] == classes
        assert made(source, tmp_path / policy, Options(dedupe="exact", on_empty_class=policy))
    assert reported(tmp_path / "drop")["val/bee/base.jpg"] == "left out by an option: --on-empty-class drop"


def test_new_image_beside_duplicates(tmp_path: Path) -> None:
    """A changed source names only the new image, and no duplicate that was left out before."""
    planted = [("train", "ant", 1), ("train", "ant", 1), ("val", "ant", 1)]
    source = as_folder(tree([*planted]), tmp_path / "a")
    made(source, tmp_path / "out", Options(dedupe="exact"))
    (source / "train/cat/new.jpg").write_bytes(picture(7))
    with pytest.raises(UsageError, match=r"its source changed: 1 added \(first train/cat/new\.jpg\)\."):
        made(source, tmp_path / "out", Options(dedupe="exact"))


def test_without_the_option_nothing_changes(tmp_path: Path) -> None:
    """The manifest names the option only if it is given, and sets with and without it differ."""
    source = as_folder(tree([("train", "ant", 1), ("train", "ant", 1)]), tmp_path / "a")
    made(source, tmp_path / "plain", Options())
    assert load(tmp_path / "plain").options.keys().isdisjoint({"dedupe", "on_conflict"})
    assert not (tmp_path / "plain" / "report.jsonl").exists()
    with pytest.raises(UsageError, match=r"--dedupe none \(now exact\)"):
        made(source, tmp_path / "plain", Options(dedupe="exact"))
    shutil.rmtree(tmp_path / "plain")
    made(source, tmp_path / "plain", Options(dedupe="exact"))
    with pytest.raises(UsageError, match=r"--dedupe exact \(now none\)"):
        made(source, tmp_path / "plain", Options())
    with pytest.raises(UsageError, match="needs --dedupe exact"):
        Options(on_conflict="drop")


def test_duplicates_of_a_sound_image_do_not_save_a_class(tmp_path: Path) -> None:
    """A class whose only sound training image is also in validation has no training image left."""
    files = tree([]) | {"train/bee/base.jpg": BASE["val/bee/base.jpg"], "train/bee/x.jpg": b"junk"}
    source = as_folder(files, tmp_path / "a")
    options = Options(dedupe="exact", on_bad="skip", on_empty_class="drop")
    made(source, tmp_path / "out", options)
    assert [one.id for one in load(tmp_path / "out").classes] == ["ant", "cat"]
    assert made(source, tmp_path / "out", options)
