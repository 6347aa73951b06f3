import io
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.sources import detect
from headrace.prep.sources.source import Source
from headrace.prep.sources.splits import validation_part
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.shardset import ShardSet
from tests.prep.contents import Contents, as_folder, as_zip, small
from tests.prep.sources.gathered import splits_of

NONE = Options(val_fraction=0)


def jpegs() -> list[bytes]:
    """Some sound images."""
    return [data for path, data in small().items() if path.endswith("JPEG") and path.startswith("train")]


def tree(*paths: str) -> Contents:
    """Images at these paths."""
    return dict(zip(paths, jpegs(), strict=False))


def opened(path: Path, options: Options) -> Source:
    """The source at a path."""
    return detect.open_source(detect.open_files(path, path.parent, options), options)


def seen(source: Source) -> dict[str, list[tuple[str, str]]]:
    """The path and class of each item, by split."""
    return {
        name: [
            (path, source.classes[label].id) for path, label in zip(one.files.paths, one.labels.tolist(), strict=True)
        ]
        for name, one in splits_of(source).items()
    }


@pytest.mark.parametrize("root", ["", "data/", "a/b/"])
def test_trees_of_splits(tmp_path: Path, root: str) -> None:
    """train/ and val/ may be below any root; each has class folders, whose deeper folders belong to the class."""
    files = tree("train/cat/1.jpg", "train/cat/more/2.jpg", "train/ant/3.JPEG", "val/cat/4.png", "test/5.jpg")
    files |= {"train/notes.txt": b"", "train/cat/.hidden.jpg": b"", "train/cat/Thumbs.db": b""}
    as_folder({root + path: data for path, data in files.items()}, tmp_path / "in")
    source = opened(tmp_path / "in", Options())
    assert [one.id for one in source.classes] == ["ant", "cat"]
    assert seen(source) == {
        "train": [("train/ant/3.JPEG", "ant"), ("train/cat/1.jpg", "cat"), ("train/cat/more/2.jpg", "cat")],
        "val": [("val/cat/4.png", "cat")],
    }


def test_one_tree(tmp_path: Path) -> None:
    """A tree of class folders is one split, of which a share of every class may be used for validation."""
    files = tree(*(f"{name}/{k}.jpg" for name in ("ant", "cat") for k in range(5)))
    source = opened(as_folder(files, tmp_path / "in"), NONE)
    assert list(splits_of(source)) == ["train"]
    parts = seen(opened(tmp_path / "in", Options(val_fraction=0.4)))
    assert Counter(label for _, label in parts["val"]) == {"ant": 2, "cat": 2}
    assert sorted(parts["train"] + parts["val"]) == sorted(seen(source)["train"])


@given(st.lists(st.integers(0, 4), max_size=200), st.floats(0, 0.99), st.integers(0, 99))
def test_validation_part_is_stratified(labels: list[int], fraction: float, seed: int) -> None:
    """Every class gives its share to the nearest sample, always the same ones, but never its last sample."""
    values = np.array(labels, np.int64)
    chosen = validation_part(values, fraction, seed)
    for label, count in Counter(labels).items():
        assert int(chosen[values == label].sum()) == min(int(count * fraction + 0.5), count - 1)
    assert (chosen == validation_part(values, fraction, seed)).all()


def as_tar(files: Contents, path: Path, mode: str) -> Path:
    """The files in a tar."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload] # modes come from the test's table
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.bz2", "w:bz2"), ("a.tar.xz", "w:xz")]
)
@pytest.mark.parametrize("workers", [1, 2])
def test_archives_and_folders_give_equal_sets(tmp_path: Path, name: str, mode: str, workers: int) -> None:
    """A folder, a zip and any kind of tar of one tree give equal bytes, and nothing else is left."""
    files = tree(*(f"{label}/{k}.jpg" for label in ("ant", "cat") for k in range(5)))
    packed = as_tar({f"./in/{path}": data for path, data in files.items()}, tmp_path / name, mode)
    zipped = as_zip(files, tmp_path / "a.zip", method=zipfile.ZIP_DEFLATED)
    folder = as_folder(files, tmp_path / "folder")
    options = Options(val_fraction=0.2, samples_per_shard=3)
    sets = []
    for number, source in enumerate((packed, zipped, folder)):
        out = tmp_path / "out" / str(number)
        prep(source, out, options, workers=workers, if_exists="error", say=print)
        sets.append({path.name: path.read_bytes() for path in out.iterdir() if path.name != "source.stat"})
    assert sets[0] == sets[1] == sets[2]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0", "1", "2"]


def test_listing(tmp_path: Path) -> None:
    """A CSV gives paths, labels and splits in any order; integer labels are class numbers."""
    as_folder(tree("pics/a.jpg", "pics/b.jpg", "c.jpg", "d.jpg"), tmp_path)
    listing = tmp_path / "list.csv"
    listing.write_text("label,Path,split\n10,pics/a.jpg,train\n2,c.jpg,train\n2,pics/b.jpg,validation\n10,d.jpg,test\n")
    source = opened(listing, Options())
    assert [one.id for one in source.classes] == [str(number) for number in range(11)]
    assert seen(source) == {
        "train": [("c.jpg", "2"), ("pics/a.jpg", "10")],
        "val": [("pics/b.jpg", "2")],
        "test": [("d.jpg", "10")],
    }


def test_parquet_listing_of_binary_columns(tmp_path: Path) -> None:
    """Text stored as bytes is read as UTF-8; other bytes give an error with the row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    as_folder(tree("a.jpg", "b.jpg", "c.jpg"), tmp_path)
    listing = tmp_path / "list.parquet"
    paths = pa.array([b"a.jpg", b"b.jpg", b"c.jpg"], pa.binary())
    pq.write_table(pa.table({"path": paths, "label": [b"ant", "k\u00f6ln".encode(), b"ant"]}), listing)
    assert [one.id for one in opened(listing, NONE).classes] == ["ant", "k\u00f6ln"]
    pq.write_table(pa.table({"path": paths, "label": [b"ant", b"k\xf6ln", b"k\xe4ln"]}), listing)
    with pytest.raises(DataError, match=r"row 2: b'k\\xf6ln' is not UTF-8"):
        opened(listing, NONE)
    pq.write_table(pa.table({"path": paths, "label": [1.0, float("nan"), 2.0]}), listing)
    with pytest.raises(DataError, match=r"row 2 .*needs a path, a label"):
        opened(listing, NONE)


def test_parquet_listing(tmp_path: Path) -> None:
    """A Parquet file works as a listing too, with the images beside it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = as_folder(tree("a.jpg", "b.jpg"), tmp_path)
    pq.write_table(pa.table({"path": ["a.jpg", "b.jpg"], "label": ["x", "y"]}), tmp_path / "list.parquet")
    prep(tmp_path / "list.parquet", tmp_path / "out", NONE, workers=1, if_exists="error", say=print)
    split = ShardSet.open(tmp_path / "out").split("train")
    images = dict(zip(split.sources, (one.tobytes() for one in split.jpegs(np.arange(2))), strict=True))
    assert images == {name: (files / name).read_bytes() for name in ("a.jpg", "b.jpg")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its columns are none"),
        ("picture,kind\na.jpg,x\n", "its columns are picture, kind; none of them is the path"),
        ("file,kind\na.jpg,x\n", "none of them is the label"),
        ("path,label\n", "lists no images"),
        ("path,label\na.jpg\n", "row 2"),
        ("path,label\na.jpg,x\na.jpg,y\n", r"row 3 \(a.jpg\): occurs twice"),
        ("path,label,split\na.jpg,x,2nd\n", "row 2 .*train, val or test"),
        ("path,label\nnone.jpg,x\n", "none.jpg: no such file"),
        ("path,label\n../a.jpg,x\n", "leads out"),
        ("path,label\n/no/such.jpg,x\n", "no such file"),
        ("path,label\n/proc,x\n", "not a regular file"),
        ("path,label\nout/passwd,x\n", "leads out"),
        ("path,label,split\na.jpg,x,val\n", "no row has the split train"),
        ('path,label\n"a.jpg,x\n', "not a CSV"),
        ("path,label\n\0,x\n", "list.csv"),
        ("path,label\na\t.jpg,x\n", r"row 2 \(a\\t.jpg\): has unprintable characters"),
        (f"path,label\na.jpg,{'x' * 300}\n", "class 'xxx.*Rename it"),
    ],
)
def test_wrong_listing_is_named(tmp_path: Path, text: str, words: str) -> None:
    """A listing that is incomplete, contradictory, or leads outside gives an error with the row."""
    as_folder(tree("a.jpg"), tmp_path)
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(HeadraceError, match=words):
        opened(tmp_path / "list.csv", NONE)


@pytest.mark.parametrize(
    ("paths", "options", "words"),
    [
        (("train/a/1.jpg", "val/b/2.jpg"), Options(), "val/: class b is not in train/"),
        (("train/a/1.jpg", "val/a/2.jpg", "valid/a/3.jpg"), Options(), "more than one val folder"),
        (("a/1.jpg", "b/2.jpg"), Options(), "no validation split. Give --val-fraction"),
        (("a/1.jpg", "b/2.jpg"), Options(val_fraction=0.1), "takes no image"),
        (("train/a/1.jpg", "val/a/2.jpg"), NONE, "Omit --val-fraction"),
        (("1.jpg", "2.jpg"), NONE, "no data set found"),
        (("a/b\n.jpg", "c/1.jpg"), NONE, "unprintable"),
        (("Train/a/1.jpg", "train/a/2.jpg", "val/a/3.jpg"), Options(), "more than one train folder"),
    ],
)
def test_wrong_tree_is_named(tmp_path: Path, paths: tuple[str, ...], options: Options, words: str) -> None:
    """Trees that do not match, or options that do not suit the tree, give errors that say what to do."""
    with pytest.raises(HeadraceError, match=words):
        opened(as_folder(tree(*paths), tmp_path), options)


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.bz2", "w:bz2"), ("a.tar.xz", "w:xz")]
)
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.5])
def test_cut_tar_is_an_error(tmp_path: Path, name: str, mode: str, keep: float) -> None:
    """A truncated tar is named, whatever its compression, and its unpacked copy is removed."""
    path = as_tar(tree("a/1.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg", "b/5.jpg", "b/6.jpg"), tmp_path / name, mode)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(HeadraceError, match=name):
        prep(path, tmp_path / "out", NONE, workers=1, if_exists="error", say=print)
    assert [one.name for one in tmp_path.iterdir() if not one.name.startswith(".out.partial")] == [name]


def test_large_images_are_made_smaller(tmp_path: Path) -> None:
    """--max-side shrinks only images that are larger, and the report says what was done."""
    out = io.BytesIO()
    Image.fromarray(np.full((100, 300, 3), (10, 200, 90), np.uint8)).save(out, "PNG")
    as_folder(tree("a/small.jpg") | {"a/large.png": out.getvalue()}, tmp_path / "in")
    options = Options(val_fraction=0, max_side=64, quality=80)
    prep(tmp_path / "in", tmp_path / "out", options, workers=1, if_exists="error", say=print)
    split = ShardSet.open(tmp_path / "out").split("train")
    at = split.sources.index("a/large.png")
    assert (split.widths[at], split.heights[at]) == (64, 21)
    pixels = np.asarray(Image.open(io.BytesIO(split.jpegs(np.array([at]))[0].tobytes()))).astype(int)
    assert np.abs(pixels - (10, 200, 90)).max() <= 3
    assert split.jpegs(np.array([1 - at]))[0].tobytes() == (tmp_path / "in/a/small.jpg").read_bytes()
    report = (tmp_path / "out" / "report.jsonl").read_text()
    assert "PNG converted to RGB JPEG, 300 x 100 made 64 x 21" in report
    assert len(report.splitlines()) == 1
