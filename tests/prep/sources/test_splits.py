"""Splits under all their usual names, and trees whose splits must not be taken for classes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.summary import summary
from headrace.shards.errors import UsageError
from tests.prep.contents import as_folder
from tests.prep.figures import figures_of
from tests.prep.sources.test_imagefolder import opened, seen, tree
from tests.prep.sources.test_parquet_images import written


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Val", None),
        ("TRAIN", "VALIDATION", "TEST"),
        ("training", "dev", "Testing"),
        ("train", "valid", "test"),
        ("train", "validation", None),
    ],
)
def test_usual_names_in_any_case(train: str, val: str, test: str | None, tmp_path: Path) -> None:
    """Each usual name means its split."""
    paths = [f"{name}/{label}/1.jpg" for name in (train, val, test) if name for label in ("ant", "cat")]
    found = seen(opened(as_folder(tree(*paths), tmp_path / "in"), Options()))
    expected = {"train": train, "val": val} | ({"test": test} if test else {})
    assert found == {
        split: [(f"{name}/{label}/1.jpg", label) for label in ("ant", "cat")] for split, name in expected.items()
    }


TWO = ("train/ant/1.jpg", "train/ant/2.jpg", "train/cat/3.jpg", "train/cat/4.jpg", "Test/ant/5.jpg", "Test/cat/6.jpg")


def test_train_and_test_alone_need_a_decision(tmp_path: Path) -> None:
    """The error names both ways; each of them works, and neither is chosen automatically."""
    source = as_folder(tree(*TWO), tmp_path / "in")
    with pytest.raises(UsageError, match=r"--val-fraction 0\.1 .*only at the end.*--val test to validate"):
        opened(source, Options())
    apart = seen(opened(source, Options(val_fraction=0.5)))
    assert {name: len(found) for name, found in apart.items()} == {"train": 2, "val": 2, "test": 2}
    measured = seen(opened(source, Options(val="TEST")))
    assert {name: len(found) for name, found in measured.items()} == {"train": 4, "val": 2}


def test_set_says_that_its_validation_is_the_test_split(tmp_path: Path) -> None:
    """Both the end of prep and each later look at the set say so."""
    result = prep(
        as_folder(tree(*TWO), tmp_path / "in"),
        tmp_path / "out",
        Options(val="test"),
        workers=1,
        if_exists="error",
        say=lambda _: None,
    )
    assert "4 train, 2 val (the source's test) samples" in summary(result, tmp_path / "out")
    assert "val (the source's test): 2 samples" in figures_of(tmp_path / "out")


def test_any_folder_may_be_named_for_validation(tmp_path: Path) -> None:
    """Even a folder without a usual name can be chosen."""
    source = as_folder(tree("train/ant/1.jpg", "train/cat/2.jpg", "Held out/ant/3.jpg"), tmp_path / "in")
    assert seen(opened(source, Options(val="held out")))["val"] == [("Held out/ant/3.jpg", "ant")]
    with pytest.raises(UsageError, match=r"--val other: no such split"):
        opened(source, Options(val="other"))


@pytest.mark.parametrize("value", ["train", "Training", " "])
def test_training_images_do_not_validate(value: str) -> None:
    """The training split cannot be the validation split."""
    with pytest.raises(UsageError, match="--val"):
        Options(val=value)


@pytest.mark.parametrize(
    "paths",
    [
        ("train/1.jpg", "test/2.jpg"),
        ("validation/ant/1.jpg", "test/ant/2.jpg"),
        ("training_set/ant/1.jpg", "training_set/cat/2.jpg", "test_set/ant/3.jpg"),
        ("Train-images/ant/1.jpg", "val2017/ant/2.jpg"),
        ("more/ant/1.jpg", "testset/ant/2.jpg"),
    ],
)
@pytest.mark.parametrize("options", [Options(), Options(val_fraction=0.1), Options(val_fraction=0)])
def test_splits_never_become_classes(paths: tuple[str, ...], options: Options, tmp_path: Path) -> None:
    """With any options the error says how to name the folders, and suggests no option that makes them classes."""
    with pytest.raises(UsageError, match="look like splits, not like classes") as caught:
        opened(as_folder(tree(*paths), tmp_path / "in"), options)
    assert "--val-fraction" not in str(caught.value)


def test_class_may_be_called_train(tmp_path: Path) -> None:
    """One of several class folders may be called train, as in COCO, if images are directly in it."""
    source = as_folder(tree("bus/1.jpg", "train/2.jpg", "boat/3.jpg"), tmp_path / "in")
    assert [one.id for one in opened(source, Options(val_fraction=0)).classes] == ["boat", "bus", "train"]


def as_listing(folder: Path) -> Path:
    """A listing of the images in three folders, with a column for the split."""
    as_folder(tree(*THREE), folder)
    rows = [f"{path},{path.split('/')[1]},{path.split('/')[0]}" for path in THREE]
    (folder / "list.csv").write_text("\n".join(["path,label,split", *rows, ""]))
    return folder / "list.csv"


def as_parquet(folder: Path) -> Path:
    """Parquet files for three splits."""
    for name in ("train", "val", "test"):
        written(folder / f"{name}-00000-of-00001.parquet", [0, 1])
    return folder


THREE = ("train/ant/1.jpg", "val/ant/2.jpg", "test/ant/3.jpg")
FORMS: dict[str, Callable[[Path], Path]] = {
    "folder": lambda path: as_folder(tree(*THREE), path),
    "listing": as_listing,
    "parquet": as_parquet,
}


@pytest.mark.parametrize("form", FORMS)
def test_test_images_are_not_mixed_into_a_validation_split(form: str, tmp_path: Path) -> None:
    """--val chooses a split for validation only if there is none yet."""
    source = FORMS[form](tmp_path / "in")
    assert list(seen(opened(source, Options()))) == ["train", "val", "test"]
    with pytest.raises(UsageError, match=r"--val test: there already is a validation split \(val\)\. Omit --val"):
        opened(source, Options(val="test"))
