"""Parquet files that hold the bytes of images."""

import json
import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.sources import parquet
from headrace.shards import store
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.open_files import LimitError
from headrace.shards.shardset import ShardSet
from tests.prep.contents import as_folder
from tests.prep.sources.gathered import splits_of
from tests.prep.sources.test_imagefolder import NONE, jpegs, opened, seen, tree

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["zebra", "cat", "ant"]


def written(
    path: Path, labels: list[object], names: list[str] | None = NAMES, images: Sequence[object] | None = None
) -> Path:
    """Write a file with an image for each label, as the datasets library does."""
    images = images or [
        {"bytes": data, "path": f"{k}.jpg"} for k, data in zip(range(len(labels)), jpegs(), strict=False)
    ]
    kind = pa.int64() if all(isinstance(label, int | None) for label in labels) else pa.string()
    schema = pa.schema([("image", IMAGE), ("label", kind)])
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "label": labels}, schema=schema), path, row_group_size=2)
    return path


def test_folder_that_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source may be given as a dot, and the report does not name the files that were read."""
    written(tmp_path / "in/train.parquet", [0, 1, 2, 0, 1, 2])
    monkeypatch.chdir(tmp_path / "in")
    prep(Path(), tmp_path / "out", NONE, workers=1, if_exists="error", say=lambda _: None)
    assert not (tmp_path / "out/report.jsonl").exists()


def test_folder_of_files(tmp_path: Path) -> None:
    """File names give the splits and metadata the ordered class names; every image keeps its bytes."""
    written(tmp_path / "in/data/train-00000-of-00002.parquet", [0, 1, 2])
    written(tmp_path / "in/data/train-00001-of-00002.parquet", [1, -1, None])
    written(tmp_path / "in/data/validation-00000-of-00001.parquet", [2, 0])
    (tmp_path / "in/README.md").write_text("A card.")
    result = prep(tmp_path / "in", tmp_path / "out", Options(), workers=2, if_exists="error", say=lambda _: None)
    assert [one.id for one in result.manifest.classes] == NAMES
    shards, first = ShardSet.open(tmp_path / "out"), "train-00000-of-00002.parquet"
    split = shards.split("train")
    images = [one.tobytes() for one in split.jpegs(np.arange(4))]
    found = {path: (label, image) for path, label, image in zip(split.sources, split.labels, images, strict=True)}
    assert found == {
        f"{first}/0000000": (0, jpegs()[0]),
        f"{first}/0000001": (1, jpegs()[1]),
        f"{first}/0000002": (2, jpegs()[2]),
        "train-00001-of-00002.parquet/0000000": (1, jpegs()[0]),
    }
    assert shards.split("val").labels.tolist() == [2, 0] or shards.split("val").labels.tolist() == [0, 2]
    assert result.tally.unused == {"in a split without labels": 2, "not an image": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_same_set_as_from_a_folder(tmp_path: Path) -> None:
    """A file with words as labels gives the same tars as folders with the same images."""
    files = tree("ant/1.jpg", "ant/2.jpg", "cat/3.jpg")
    as_folder(files, tmp_path / "folder")
    images = [{"bytes": data, "path": path} for path, data in files.items()]
    path = written(tmp_path / "some.parquet", [name.split("/")[0] for name in files], None, images)
    digests = [
        prep(source, tmp_path / name, NONE, workers=1, if_exists="error", say=lambda _: None).manifest.digest
        for name, source in (("a", path), ("b", tmp_path / "folder"))
    ]
    assert digests[0] == digests[1]


def test_second_prep_copies_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unchanged files are not copied again, and a changed file is noticed."""
    path = written(tmp_path / "train.parquet", [0, 1])
    prep(path, tmp_path / "out", NONE, workers=1, if_exists="error", say=lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(parquet.ParquetFiles, "table", None)
        assert prep(path, tmp_path / "out", NONE, workers=1, if_exists="reuse", say=lambda _: None).reused
    written(path, [1, 0])
    assert not prep(path, tmp_path / "new", NONE, workers=1, if_exists="reuse", say=lambda _: None).reused
    written(path, [0, 1, 1])
    with pytest.raises(HeadraceError, match="its source changed: 1 added"):
        prep(path, tmp_path / "out", NONE, workers=1, if_exists="reuse", say=lambda _: None)


def test_rows_without_bytes_are_reported(tmp_path: Path) -> None:
    """Rows with only a path, or with nothing, are reported."""
    images = [{"bytes": jpegs()[0], "path": "a"}, {"bytes": None, "path": "b.jpg"}, None]
    path = written(tmp_path / "train.parquet", [0, 1, 1], images=images)
    result = prep(path, tmp_path / "out", NONE, workers=1, if_exists="error", say=lambda _: None)
    assert result.tally.unused == {"a row without the bytes of an image": 2}


def test_integers_without_names(tmp_path: Path) -> None:
    """Integers are class numbers, as in any listing; --columns names another column."""
    path = written(tmp_path / "train.parquet", [4, 1, 1], None)
    source = opened(path, NONE)
    assert [one.id for one in source.classes] == ["0", "1", "2", "3", "4"]
    assert [label for _, label in seen(source)["train"]] == ["4", "1", "1"]
    with pytest.raises(DataError, match="none of them is the label"):
        opened(path, Options(val_fraction=0, columns="label=fine_label"))


def test_too_small_a_disk_is_said_before_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error gives both sizes."""
    path = written(tmp_path / "train.parquet", [0, 1])
    monkeypatch.setattr(store, "free_bytes", lambda _: 1000)
    with pytest.raises(HeadraceError, match=r"not enough space in .* but 1,000 bytes are free"):
        opened(path, NONE)


@pytest.mark.parametrize("other", ["a-train", "z-train"])
@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_cut_file_is_named(keep: float, other: str, tmp_path: Path) -> None:
    """The truncated file is named wherever it was cut and wherever it is in the sorted order."""
    path = written(tmp_path / "in/train.parquet", [0, 1, 2])
    written(tmp_path / f"in/{other}.parquet", [0, 1, 2])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(DataError, match=r"train.parquet: not a sound Parquet file"):
        opened(tmp_path / "in", NONE)


def test_folder_of_save_to_disk_is_named(tmp_path: Path) -> None:
    """Such a folder has Arrow files, which are not read."""
    as_folder({"dataset_dict.json": b"{}", "train/data-00000-of-00001.arrow": b"x"}, tmp_path / "in")
    with pytest.raises(
        DataError, match=r"written by datasets\.save_to_disk, whose format is not supported.*to_parquet"
    ):
        opened(tmp_path / "in", NONE)


def test_files_of_other_splits_keep_their_names(tmp_path: Path) -> None:
    """Only files called train are for training; --val makes one of the others the validation split."""
    for name in ("train", "Extra", "holdout_a"):
        written(tmp_path / f"in/data/{name}-00000-of-00001.parquet", [0, 1])
    written(tmp_path / "in/data/train-00001-of-00002-0123456789abcdef.parquet", [2])
    source = opened(tmp_path / "in", NONE)
    assert {name: len(found) for name, found in seen(source).items()} == {"train": 3, "extra": 2, "holdout_a": 2}
    assert [line.partition(" is neither")[0] for line in source.remarks] == ["split extra", "split holdout_a"]
    assert list(seen(opened(tmp_path / "in", Options(val="holdout_a")))) == ["train", "val", "extra"]
    written(tmp_path / "in/data/a b-00000-of-00001.parquet", [0])
    with pytest.raises(DataError, match=r"'a b' cannot be the name of a split\. Rename the file"):
        opened(tmp_path / "in", NONE)


def test_file_without_images_among_the_others_is_named(tmp_path: Path) -> None:
    """A Parquet file with another kind of table is named."""
    written(tmp_path / "in/train.parquet", [0, 1])
    pq.write_table(pa.table({"label": [1], "text": ["a"]}), tmp_path / "in/words.parquet")
    with pytest.raises(DataError, match=r"words\.parquet: it has no images"):
        opened(tmp_path / "in", NONE)


def test_files_beside_them_are_reported(tmp_path: Path) -> None:
    """Other files are reported by reason; linked Parquet files, as in a download cache, are read."""
    written(tmp_path / "in/train.parquet", [0, 1])
    (tmp_path / "in/more.parquet").symlink_to(written(tmp_path / "blob", [2]))
    written(tmp_path / "in/data/train.parquet", [0])
    as_folder(tree("pictures/1.jpg") | {"README.md": b"A card.", ".gitattributes": b"x"}, tmp_path / "in")
    source = opened(tmp_path / "in", NONE)
    assert len(splits_of(source)["train"].labels) == 3
    assert sorted((one.path, one.reason) for one in source.unused) == [
        (".gitattributes", "hidden"),
        ("README.md", "not an image"),
        ("data/train.parquet", "a Parquet file in a folder whose Parquet files are not read"),
        ("pictures/1.jpg", "an image beside the Parquet files"),
    ]


def test_folders_of_classes_beside_them_are_refused(tmp_path: Path) -> None:
    """Class folders beside the files are refused, since either could be the data set."""
    written(tmp_path / "in/train.parquet", [0, 1])
    as_folder(tree("ant/1.jpg", "cat/2.jpg"), tmp_path / "in")
    with pytest.raises(UsageError, match=r"\(train.parquet\) and 2 folders with images \(ant/, cat/\)\. Move"):
        opened(tmp_path / "in", NONE)


def test_missing_descriptors_are_not_damage(tmp_path: Path) -> None:
    """A process that cannot open any file must not call the file damaged."""
    path = written(tmp_path / "train.parquet", [0, 1])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(LimitError):
            parquet.image_column(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_names_without_an_image_are_no_gaps(tmp_path: Path) -> None:
    """Only integer labels can have gaps; the error for a missing split suggests a file name."""
    written(tmp_path / "in/train-00000-of-00001.parquet", [0, 1])
    assert opened(tmp_path / "in", NONE).remarks == []
    (tmp_path / "in/train-00000-of-00001.parquet").rename(tmp_path / "in/extra-00000-of-00001.parquet")
    with pytest.raises(UsageError, match=r"\(the splits are: extra\)\. Name a file train-00000-of-00001\.parquet"):
        opened(tmp_path / "in", NONE)
