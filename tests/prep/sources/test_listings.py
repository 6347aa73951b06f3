"""Listings as users write them: with or without headers, absolute paths, integers, and a given order of classes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.make import reuse
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.shardset import ShardSet
from tests.prep.contents import as_folder
from tests.prep.sources.gathered import splits_of
from tests.prep.sources.test_imagefolder import NONE, opened, seen, tree

ROWS = [("a.jpg", "cat"), ("b.jpg", "ant"), ("c.jpg", "cat")]
PAIRS = {"train": [("a.jpg", "cat"), ("b.jpg", "ant"), ("c.jpg", "cat")]}


def listing(folder: Path, text: str, name: str = "list.csv") -> Path:
    """A listing with this text beside four images."""
    as_folder(tree("a.jpg", "b.jpg", "c.jpg", "d.jpg"), folder)
    (folder / name).write_text(text)
    return folder / name


def csv_of(header: str, rows: Sequence[tuple[str, ...]]) -> str:
    """The text of a CSV."""
    return "".join(f"{','.join(row)}\n" for row in ([(header,)] if header else []) + list(rows))


@pytest.mark.parametrize(
    "header",
    [
        "path,label",
        "filepath,label",
        "image,class",
        "file_name,category",
        "Filename,Class_Name",
        " image_path , target ",
    ],
)
def test_usual_headers(header: str, tmp_path: Path) -> None:
    """The usual headers for paths and labels are found in any case."""
    assert seen(opened(listing(tmp_path, csv_of(header, list(ROWS))), NONE)) == PAIRS


def test_first_of_several_usual_headers_counts(tmp_path: Path) -> None:
    """If a column has numbers and another has names, the one called label is used."""
    text = csv_of("class_id,image,label", [("7", *row) for row in ROWS])
    assert seen(opened(listing(tmp_path, text), NONE)) == PAIRS


@pytest.mark.parametrize(
    ("columns", "header", "rows"),
    [
        ("path,label", "", ROWS),
        ("label,-,path", "", [(label, "x", path) for path, label in ROWS]),
        ("path=picture,label=kind", "kind,picture", [(label, path) for path, label in ROWS]),
        ("label=Species", "file,label,species", [(path, "other", label) for path, label in ROWS]),
    ],
)
def test_columns_can_be_named(columns: str, header: str, rows: list[tuple[str, ...]], tmp_path: Path) -> None:
    """Columns are given in order for a listing without a header, or by their headers."""
    source = opened(listing(tmp_path, csv_of(header, rows)), Options(val_fraction=0, columns=columns))
    assert seen(source) == PAIRS


@pytest.mark.parametrize("columns", ["", "path", "path,path", "path,label,kind", "path=a,path=b", "kind=a", "path="])
def test_senseless_columns_are_refused(columns: str, tmp_path: Path) -> None:
    """The error names both ways to give columns."""
    with pytest.raises(UsageError, match=r"--columns .*path=image,label=species.*path,label,split"):
        opened(listing(tmp_path, csv_of("path,label", list(ROWS))), Options(val_fraction=0, columns=columns))


def test_json_lines(tmp_path: Path) -> None:
    """Each line is a JSON object."""
    text = "".join(json.dumps({"file_name": path, "label": label}) + "\n" for path, label in ROWS)
    assert seen(opened(listing(tmp_path, text, "list.jsonl"), NONE)) == PAIRS
    for broken, words in (
        ("{", "line 1 is not JSON"),
        ("[1]", "line 1 is not a JSON object"),
        ("{}", "its columns are none"),
    ):
        with pytest.raises(DataError, match=words):
            opened(listing(tmp_path, broken, "list.jsonl"), NONE)


def test_absolute_paths(tmp_path: Path) -> None:
    """Absolute paths may lead anywhere, and the set names its samples by them."""
    images = as_folder(tree("one/a.jpg", "two/b.jpg"), tmp_path / "elsewhere")
    rows = [(f"{images}/one/a.jpg", "x"), (f"{images}/two/b.jpg", "y")]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "list.csv").write_text(csv_of("path,label", rows))
    prep(tmp_path / "lists/list.csv", tmp_path / "out", NONE, workers=1, if_exists="error", say=lambda _: None)
    split = ShardSet.open(tmp_path / "out").split("train")
    assert sorted(split.sources) == [path for path, _ in rows]
    assert {one.tobytes() for one in split.jpegs(np.arange(2))} == {Path(path).read_bytes() for path, _ in rows}


def test_unknown_splits_keep_their_names(tmp_path: Path) -> None:
    """Unknown splits are reported and keep their names; --val makes one of them the validation split."""
    rows = [(*row, split) for row, split in zip(ROWS, ("train", "Holdout", "train"), strict=True)]
    path = listing(tmp_path / "in", csv_of("path,label,split", rows))
    said: list[str] = []
    prep(path, tmp_path / "out", NONE, workers=1, if_exists="error", say=said.append)
    assert ShardSet.open(tmp_path / "out").split_names == ("train", "holdout")
    assert [line for line in said if "split holdout is neither" in line]
    assert list(seen(opened(path, Options(val="holdout")))) == ["train", "val"]
    with pytest.raises(UsageError, match=r"--val other: no such split \(the splits are: train, holdout\)"):
        opened(path, Options(val="other"))


def test_unprintable_labels_are_refused_at_once(tmp_path: Path) -> None:
    """Unprintable labels are refused together, like unprintable names of folders."""
    path = listing(tmp_path, csv_of("path,label", [("a.jpg", "a\tb"), ("b.jpg", "c\x1b"), ("c.jpg", "d")]))
    with pytest.raises(DataError, match=r"some labels have unprintable characters: 'a\\tb', 'c\\x1b'\. Rename them"):
        opened(path, NONE)


INTEGERS = [("a.jpg", "7"), ("b.jpg", "0"), ("c.jpg", "3")]


def test_integers_keep_their_numbers(tmp_path: Path) -> None:
    """Label 7 is class 7, and gaps are reported."""
    source = opened(listing(tmp_path, csv_of("path,label", list(INTEGERS))), NONE)
    assert splits_of(source)["train"].labels.tolist() == [7, 0, 3]
    assert [one.id for one in source.classes] == [str(number) for number in range(8)]
    assert source.remarks == ["integer labels are class numbers; no image has 1, 2, 4, 5, 6"]
    with pytest.raises(DataError, match=r"the largest of .* labels is 99999"):
        opened(listing(tmp_path, csv_of("path,label", [("a.jpg", "99999")])), NONE)


def test_names_file_gives_integers_names_and_count(tmp_path: Path) -> None:
    """Each line is a class, and its number is the number of the line, counted from 0."""
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{name}\n" for name in "abcdefghij"))
    path = listing(tmp_path, csv_of("path,label", list(INTEGERS)))
    source = opened(path, Options(val_fraction=0, classes_from=str(names)))
    assert [one.id for one in source.classes] == list("abcdefghij")
    assert splits_of(source)["train"].labels.tolist() == [7, 0, 3]
    names.write_text("a\nb\n")
    with pytest.raises(DataError, match=r"3 classes are not among the 2 classes of --classes-from .*: 0, 3, 7"):
        opened(path, Options(val_fraction=0, classes_from=str(names)))


def test_classes_of_another_set(tmp_path: Path) -> None:
    """Order, names and classes without images are taken over; a class that is not among them is named."""
    first = as_folder(tree("zebra/1.jpg", "ant/2.jpg", "cat/3.jpg"), tmp_path / "first")
    (tmp_path / "order.txt").write_text("zebra\tstriped horse\ncat\nant\n")
    order = Options(val_fraction=0, classes_from=str(tmp_path / "order.txt"))
    prep(first, tmp_path / "one", order, workers=1, if_exists="error", say=lambda _: None)
    second = as_folder(tree("cat/1.jpg", "ant/2.jpg"), tmp_path / "second")
    like = Options(val_fraction=0, classes_from=str(tmp_path / "one"))
    result = prep(second, tmp_path / "two", like, workers=1, if_exists="error", say=lambda _: None)
    assert [(one.id, one.name) for one in result.manifest.classes] == [
        ("zebra", "striped horse"),
        ("cat", "cat"),
        ("ant", "ant"),
    ]
    assert result.tally.missing == {"train": ["zebra"]}
    split = ShardSet.open(tmp_path / "two").split("train")
    assert dict(zip(split.sources, split.labels.tolist(), strict=True)) == {"cat/1.jpg": 1, "ant/2.jpg": 2}
    as_folder(tree("dog/1.jpg"), second)
    with pytest.raises(DataError, match=r"1 class is not among the 3 classes of --classes-from .*one: dog"):
        prep(second, tmp_path / "three", like, workers=1, if_exists="error", say=lambda _: None)


def test_list_of_classes_that_changed_is_noticed(tmp_path: Path) -> None:
    """A changed list is noticed, even if the source and the options are the same."""
    source = as_folder(tree("cat/1.jpg", "ant/2.jpg"), tmp_path / "in")
    order = tmp_path / "order.txt"
    order.write_text("cat\nant\n")
    options = Options(val_fraction=0, classes_from=str(order))
    for if_exists in ("error", "reuse"):
        result = prep(source, tmp_path / "out", options, workers=1, if_exists=if_exists, say=lambda _: None)
        assert result.reused == (if_exists == "reuse")
    order.write_text("ant\ncat\n")
    with pytest.raises(UsageError, match=f"the classes in .*order.txt are not those of the set. {reuse._REBUILD}"):
        prep(source, tmp_path / "out", options, workers=1, if_exists="reuse", say=lambda _: None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected each class once"),
        (b"a\na\n", "expected each class once"),
        (b"\xff\n", "UTF-8"),
        (None, "no such"),
    ],
)
def test_senseless_lists_of_classes_are_refused(content: bytes | None, words: str, tmp_path: Path) -> None:
    """The error names the option and the file."""
    if content is not None:
        (tmp_path / "names").write_bytes(content)
    with pytest.raises(HeadraceError, match=f"--classes-from .*names: .*{words}"):
        opened(
            listing(tmp_path, csv_of("path,label", list(ROWS))),
            Options(val_fraction=0, classes_from=str(tmp_path / "names")),
        )


def test_folders_named_by_integers_keep_the_order_of_imagefolder(tmp_path: Path) -> None:
    """Such folders are sorted as text, and one line says so if it makes a difference."""
    source = opened(as_folder(tree("10/1.jpg", "2/2.jpg", "1/3.jpg"), tmp_path / "in"), NONE)
    assert [one.id for one in source.classes] == ["1", "10", "2"]
    assert len(source.remarks) == 1
    assert "label 0 is 1/; for another order, give --classes-from FILE" in source.remarks[0]
    plain = opened(as_folder(tree("0/1.jpg", "1/2.jpg"), tmp_path / "plain"), NONE)
    assert plain.remarks == []


def test_list_of_classes_may_move(tmp_path: Path) -> None:
    """Only the content of the list counts, not its path; a set made without a list is another set."""
    source = as_folder(tree("cat/1.jpg", "ant/2.jpg"), tmp_path / "in")
    (tmp_path / "order.txt").write_text("cat\nant\n")
    options = Options(val_fraction=0, classes_from=tmp_path / "order.txt")
    made = prep(source, tmp_path / "out", options, workers=1, if_exists="error", say=lambda _: None)
    assert made.manifest.options["classes_from"] == str(tmp_path / "order.txt")
    moved = Options(val_fraction=0, classes_from=(tmp_path / "order.txt").rename(tmp_path / "moved.txt"))
    assert prep(source, tmp_path / "out", moved, workers=1, if_exists="reuse", say=lambda _: None).reused
    with pytest.raises(UsageError, match=r"other options: --classes-from .*order\.txt \(now None\)"):
        prep(source, tmp_path / "out", NONE, workers=1, if_exists="reuse", say=lambda _: None)


def test_name_of_two_classes_says_neither(tmp_path: Path) -> None:
    """A name that two classes share, such as crane in ImageNet, does not identify a class."""
    (tmp_path / "names").write_text("n02012849\tcrane\nn03126707\tcrane\nn01440764\ttench\n")
    options = Options(val_fraction=0, classes_from=tmp_path / "names")
    rows = [("a.jpg", "tench"), ("b.jpg", "crane")]
    with pytest.raises(DataError, match=r": 1 class is not among the 3 classes of --classes-from .*names: crane\. "):
        opened(listing(tmp_path, csv_of("path,label", rows)), options)


def test_listed_link_is_named_with_what_reads_it(tmp_path: Path) -> None:
    """A listed link is refused before anything is read; with --follow-links it is read."""
    path = listing(tmp_path / "in", csv_of("path,label", [("a.jpg", "cat"), ("link.jpg", "ant")]))
    (tmp_path / "in/link.jpg").symlink_to("b.jpg")
    with pytest.raises(DataError, match=r"link\.jpg: a symbolic link, which is not followed\. Give --follow-links"):
        opened(path, NONE)
    follow = Options(val_fraction=0, follow_links=True)
    result = prep(path, tmp_path / "out", follow, workers=1, if_exists="error", say=lambda _: None)
    assert result.manifest.samples == 2
