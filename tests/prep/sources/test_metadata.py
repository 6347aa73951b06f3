"""Hugging Face's imagefolder layout: metadata.csv and metadata.jsonl."""

import json
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.errors import DataError, HeadraceError, UsageError
from tests.prep.contents import Contents, as_folder, as_zip
from tests.prep.sources.test_imagefolder import NONE, opened, seen, tree


def as_csv(*rows: str) -> bytes:
    """A metadata.csv."""
    return "".join(f"{row}\n" for row in ("file_name,label", *rows)).encode()


def as_jsonl(*rows: tuple[str, str]) -> bytes:
    """A metadata.jsonl."""
    return "".join(json.dumps({"file_name": path, "label": label}) + "\n" for path, label in rows).encode()


SPLITS: Contents = {
    **tree("train/1.jpg", "train/more/2.jpg", "validation/3.jpg", "test/4.jpg", "test/left.jpg"),
    "train/metadata.csv": as_csv("1.jpg,cat", "more/2.jpg,ant"),
    "validation/metadata.jsonl": as_jsonl(("3.jpg", "cat")),
    "test/metadata.csv": as_csv("4.jpg,ant"),
}
FOUND = {
    "train": [("train/1.jpg", "cat"), ("train/more/2.jpg", "ant")],
    "val": [("validation/3.jpg", "cat")],
    "test": [("test/4.jpg", "ant")],
}


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_metadata_in_each_split(form: str, tmp_path: Path) -> None:
    """The metadata give the labels and the folders the splits; images without metadata are reported."""
    source = as_folder(SPLITS, tmp_path / "in") if form == "folder" else as_zip(SPLITS, tmp_path / "a.zip")
    assert seen(opened(source, Options())) == FOUND
    prep(source, tmp_path / "out", Options(), workers=1, if_exists="error", say=lambda _: None)
    lines = [json.loads(line) for line in (tmp_path / "out/report.jsonl").read_text().splitlines()]
    assert [(one["source"], one["action"]) for one in lines] == [
        ("test/left.jpg", "skipped"),
        ("test/metadata.csv", "read"),
        ("train/metadata.csv", "read"),
        ("validation/metadata.jsonl", "read"),
    ]


def test_one_file_at_the_top(tmp_path: Path) -> None:
    """A single file may cover the folders below it, and give splits in a column."""
    files = tree("images/1.jpg", "images/2.jpg", "images/3.jpg")
    files["metadata.csv"] = b"split,file_name,class\ntrain,images/1.jpg,x\nval,images/2.jpg,y\ntrain,images/3.jpg,y\n"
    found = seen(opened(as_folder(files, tmp_path / "in"), Options()))
    assert found == {"train": [("images/1.jpg", "x"), ("images/3.jpg", "y")], "val": [("images/2.jpg", "y")]}


def test_metadata_without_labels_leaves_them_to_the_folders(tmp_path: Path) -> None:
    """Metadata without labels, such as captions, leave the labels to the folders."""
    files = tree("ant/1.jpg", "cat/2.jpg") | {"metadata.csv": b"file_name,text\nant/1.jpg,an ant\n"}
    found = seen(opened(as_folder(files, tmp_path / "in"), NONE))
    assert found == {"train": [("ant/1.jpg", "ant"), ("cat/2.jpg", "cat")]}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (("1.jpg,cat", "9.jpg,cat"), "metadata.csv: 9.jpg: no such file"),
        (("1.jpg,cat", "../train/1.jpg,cat"), "it is labelled twice"),
        (("1.jpg,cat", "1.jpg,ant"), "row 3 .*occurs twice"),
        (("1.jpg,",), "row 2 .*needs a path, a label"),
        (("../../1.jpg,cat",), "no such file in its folder"),
        (('1.jpg,"cat',), "not a CSV"),
    ],
)
def test_wrong_metadata_is_named(rows: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """The error gives the path of the metadata in the source."""
    files = tree("train/1.jpg", "train/2.jpg") | {"train/metadata.csv": as_csv(*rows)}
    with pytest.raises(HeadraceError, match=words):
        opened(as_folder(files, tmp_path / "in"), NONE)


def test_nothing_in_it(tmp_path: Path) -> None:
    """Empty metadata are an error, and not a data set of folders."""
    files = tree("a/1.jpg", "b/2.jpg") | {"metadata.csv": as_csv()}
    with pytest.raises(DataError, match="it lists no images"):
        opened(as_folder(files, tmp_path / "in"), NONE)


def test_labels_never_meet_the_pixels_of_another_folder(tmp_path: Path) -> None:
    """A path that leads out of the metadata's folder is refused, even if such a file exists."""
    files = tree("train/2.jpg", "photo/1.jpg") | {"train/metadata.csv": as_csv("2.jpg,cat", "../photo/1.jpg,dog")}
    with pytest.raises(DataError, match=r"\.\./photo/1\.jpg: no such file in its folder"):
        opened(as_folder(files, tmp_path / "in"), NONE)


@pytest.mark.parametrize("column", [False, True])
def test_second_validation_split_is_not_mixed_into_the_first(column: bool, tmp_path: Path) -> None:
    """A second validation split stays apart, whether folders or a column give the splits."""
    splits = ("train", "dev", "test")
    files = tree(*(f"{'images' if column else split}/{split}.jpg" for split in splits))
    rows = [f"{path},cat,{path.rpartition('/')[2][:-4]}" if column else f"{path},cat" for path in files]
    files["metadata.csv"] = "\n".join([f"file_name,label{',split' if column else ''}", *rows, ""]).encode()
    source = as_folder(files, tmp_path / "in")
    assert list(seen(opened(source, Options()))) == ["train", "val", "test"]
    assert list(seen(opened(source, Options(val="dev")))) == ["train", "val", "test"]
    with pytest.raises(UsageError, match=r"--val test: there already is a validation split \(dev\)\. Omit --val"):
        opened(source, Options(val="test"))


@pytest.mark.parametrize(
    ("name", "content", "columns", "words"),
    [
        ("metadata.csv", as_csv("ant/1.jpg,bee"), "label=species", r"none of them is the label \(species\)"),
        ("metadata.jsonl", b'{"file_name": "ant/1.jpg", "label"\n', None, "line 1 is not JSON"),
        ("metadata.csv", b"file_name,label\nant/1.jpg,\xff\n", None, "UTF-8"),
    ],
)
def test_labels_that_cannot_be_read_are_not_those_of_the_folders(
    name: str, content: bytes, columns: str | None, words: str, tmp_path: Path
) -> None:
    """Only metadata that clearly have no labels are ignored."""
    source = as_folder(tree("ant/1.jpg", "cat/2.jpg") | {name: content}, tmp_path / "in")
    with pytest.raises(DataError, match=words):
        opened(source, Options(val_fraction=0, columns=columns))
