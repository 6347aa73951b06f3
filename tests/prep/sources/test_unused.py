"""Files that are not samples: the summary counts them by reason, the report names them, and the set is unaffected."""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import Result, prep
from headrace.prep.sources.files import BESIDE, HIDDEN, NOT_AN_IMAGE, READ, UNLABELLED, Entry
from headrace.prep.sources.folder import FolderReader
from headrace.prep.summary import summary
from headrace.shards.shardset import ShardSet
from tests.prep.contents import Contents, as_folder, as_zip, small
from tests.prep.damage import tree

SPLITS = ("train/ant/1.jpg", "train/cat/2.jpg", "val/ant/3.jpg")
JPEGS = list(tree().values())


def as_tar(files: Contents, path: Path) -> Path:
    """The files in a tar."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


FORMS: dict[str, Callable[[Contents, Path], Path]] = {"folder": as_folder, "zip": as_zip, "tar": as_tar}


def at(*paths: str) -> Contents:
    """Images at these paths."""
    return dict(zip(paths, JPEGS, strict=False))


def made(source: Path, out: Path, options: Options | None = None) -> Result:
    """The set of a source."""
    return prep(source, out, options or Options(), workers=1, if_exists="error", say=lambda _: None)


def report(out: Path) -> dict[str, str]:
    """The reason for each file that the report says is left out."""
    path = out / "report.jsonl"
    lines = map(json.loads, path.read_text().splitlines()) if path.exists() else []
    return {line["source"]: line["reason"] for line in lines if line["action"] == "skipped"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("used", "unused"),
    [
        (SPLITS, {}),
        (SPLITS, {"4.jpg": BESIDE}),  # also beside train/ in a folder that holds all, as in the zip
        (SPLITS, {"train/4.jpg": BESIDE, "val/5.jpg": BESIDE}),
        (SPLITS, {"more/ant/4.jpg": BESIDE, "train.old/ant/5.jpg": BESIDE}),
        (SPLITS, {"test/": UNLABELLED, "6.jpg": BESIDE}),
        ((*SPLITS, "test/ant/4.jpg"), {"test/5.jpg": BESIDE}),
    ],
)
def test_images_beside_the_classes_are_named(
    form: str, used: tuple[str, ...], unused: dict[str, str], tmp_path: Path
) -> None:
    """Stray images and other files, even hidden, are reported; a test split without labels is one line."""
    inside = {"test/": ("test/4.jpg", "test/images/5.jpg", "test/list.txt")}
    strays = [path for one in unused for path in inside.get(one, (one,))]
    others = {"notes.txt": NOT_AN_IMAGE, ".4.jpg": HIDDEN, "more/Thumbs.db": HIDDEN}
    result = made(FORMS[form](at(*used, *strays) | dict.fromkeys(others, b""), tmp_path / "in"), tmp_path / "out")
    assert report(tmp_path / "out") == unused | others
    counts = Counter(reason for one, reason in unused.items() for _ in inside.get(one, (one,)))
    assert result.tally.unused == counts + Counter(others.values())
    shards = ShardSet.open(tmp_path / "out")
    assert {path for name in shards.split_names for path in shards.split(name).sources} == set(used)


def test_images_beside_one_tree_are_named(tmp_path: Path) -> None:
    """In a tree without splits, images outside the class folders are reported."""
    source = as_folder(at("ant/1.jpg", "cat/2.jpg", "3.jpg"), tmp_path / "in")
    assert made(source, tmp_path / "out", Options(val_fraction=0)).tally.unused == {BESIDE: 1}
    assert report(tmp_path / "out") == {"3.jpg": BESIDE}


@pytest.mark.parametrize("root", ["", "tiny/"])
def test_images_outside_of_tinyimagenet_are_named(root: str, tmp_path: Path) -> None:
    """Images outside images/ of a class and of val/ are reported; test/ belongs to the layout."""
    strays = [root + path for path in ("train/n01/9.JPEG", "train/9.JPEG", "val/9.JPEG", "more/images/9.JPEG")]
    files = {root + path: data for path, data in small().items()} | at(*strays)
    result = made(as_folder(files, tmp_path / "in"), tmp_path / "out")
    boxes = {path: NOT_AN_IMAGE for path in small() if path.endswith("_boxes.txt")}
    expected = {path.removeprefix(root): BESIDE for path in strays} | boxes | {"test/": UNLABELLED}
    assert report(tmp_path / "out") == expected
    assert result.tally.unused == {BESIDE: 4, NOT_AN_IMAGE: 3, UNLABELLED: 1, READ: 3}


def test_file_that_has_the_name_of_a_folder(tmp_path: Path) -> None:
    """A zip may hold a file and a folder of one name; the file counts as beside the classes."""
    paths = [f"a.jpg/{path}" for path in SPLITS]
    made(as_zip(at(*paths, "a.jpg"), tmp_path / "a.zip", root=""), tmp_path / "out", Options(val_fraction=0))
    assert report(tmp_path / "out") == {"a.jpg": BESIDE}


def test_summary_counts_them_by_reason(tmp_path: Path) -> None:
    """Each reason has one line, and there is no line if nothing was left out."""
    strays = ("4.jpg", "train/5.jpg", "test/6.jpg")
    for name, paths in (("some", (*SPLITS, *strays)), ("none", SPLITS)):
        result = made(as_folder(at(*paths), tmp_path / f"in-{name}"), tmp_path / name)
        lines = [line for line in summary(result, tmp_path / name).splitlines() if "not used" in line]
        expected = [f"  2 files not used: {BESIDE}", f"  1 file not used: {UNLABELLED}"] if name == "some" else []
        assert [line.partition(" (report.jsonl")[0] for line in lines] == expected


def test_second_prep_opens_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second prep opens no file whose size and time are unchanged, neither images nor others."""
    source = as_folder(at(*SPLITS, "train/ant/4") | {"notes": b"x"}, tmp_path / "in")
    assert made(source, tmp_path / "out").tally.unused == {NOT_AN_IMAGE: 1}
    monkeypatch.setattr(FolderReader, "_open", None)
    again = prep(source, tmp_path / "out", Options(), workers=1, if_exists="reuse", say=lambda _: None)
    assert (again.reused, again.tally.unused) == (True, Counter())


def test_of_other_files_the_first_bytes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only files without an image extension are read, once each and only their first bytes."""
    asked: list[tuple[str, int]] = []
    real = FolderReader.start

    def start(self: FolderReader, entry: Entry, size: int) -> bytes:
        asked.append((entry.path, size))
        return real(self, entry, size)

    monkeypatch.setattr(FolderReader, "start", start)
    names = [f"notes {k}" for k in range(300)]
    files = at(*SPLITS, "train/ant/4.photo") | dict.fromkeys(names, bytes(99)) | {"empty": b""}
    result = made(as_folder(files, tmp_path / "in"), tmp_path / "out")
    assert sorted(asked) == sorted((name, 32) for name in [*names, "train/ant/4.photo"])
    assert result.tally.unused == {NOT_AN_IMAGE: 301}


def test_the_set_is_the_same_with_and_without_them(tmp_path: Path) -> None:
    """Files that are not samples only change the report."""
    sets = []
    for name, paths in (("some", (*SPLITS, "4.jpg")), ("none", SPLITS)):
        made(as_folder(at(*paths), tmp_path / f"in-{name}"), tmp_path / name)
        sets.append(
            {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.name != "source.stat"}
        )
    assert sets[0].pop("report.jsonl")
    assert sets[0] == sets[1]


def test_file_with_the_name_of_the_folder_of_all(tmp_path: Path) -> None:
    """A zip may hold a file named like its root folder; the report gives the type of that file."""
    files = {f"data/{path}": image for path, image in at(*SPLITS).items()} | {"data": b"notes"}
    made(as_zip(files, tmp_path / "a.zip", root=""), tmp_path / "out")
    assert report(tmp_path / "out") == {"../data": NOT_AN_IMAGE}
