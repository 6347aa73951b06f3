import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headrace.prep.command.options import Options
from headrace.prep.sources import detect
from headrace.prep.sources.detect import open_source
from headrace.prep.sources.files import Files
from headrace.prep.sources.source import Source, fingerprint, states
from headrace.shards.errors import DataError, HeadraceError, UsageError
from tests.prep.contents import WNIDS, Contents, as_folder, as_zip, small
from tests.prep.sources.gathered import splits_of


def open_files(path: Path) -> Files:
    """The files at this path."""
    return detect.open_files(path, path.parent)


def source_of(files: Files) -> Source:
    """The data set among these files."""
    return open_source(files, Options())


def seen(source: Source) -> dict[str, list[tuple[str, int, bytes]]]:
    """The path, label and bytes of each item, by split."""
    return {
        name: [
            (entry.path, label, source.reader.read(entry))
            for entry, label in zip(listed.files, listed.labels.tolist(), strict=True)
        ]
        for name, listed in splits_of(source).items()
    }


def digest(source: Source) -> str:
    """The fingerprint of the source."""
    images = (states(chunk.files, source.reader) for chunk in source.chunks())
    found, _ = fingerprint(images, states(source.others, source.reader))
    return found


def test_labels_and_names(tmp_path: Path) -> None:
    """Folders give training labels, annotations validation labels, and words.txt names; wnids are sorted."""
    files = small()
    source = source_of(open_files(as_folder(files, tmp_path)))
    assert [(one.id, one.name) for one in source.classes] == [
        ("n01", "goldfish, Carassius"),
        ("n02", "shark"),
        ("n03", "n03"),
    ]
    found = seen(source)
    assert found["train"] == [
        (path, WNIDS.index(path.split("/")[1]), files[path]) for path in sorted(files) if "/images/n" in path
    ]
    assert found["val"] == [
        (path, int(path[11]), files[path]) for path in sorted(files) if path.startswith("val/images/")
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("root", ["", "tiny-imagenet-200/", "été/"])
def test_zip_and_folder_are_the_same_source(tmp_path: Path, method: int, root: str) -> None:
    """Stored or deflated, with or without a root folder, the items and the fingerprint are the same."""
    files = small()
    folder = source_of(open_files(as_folder(files, tmp_path / "folder")))
    zipped = source_of(open_files(as_zip(files, tmp_path / "a.zip", root=root, method=method)))
    assert seen(folder) == seen(zipped)
    assert digest(folder) == digest(zipped)


def test_order_in_the_zip_does_not_matter(tmp_path: Path) -> None:
    """A zip packed in another order is the same source."""
    files = small()
    one = source_of(open_files(as_zip(files, tmp_path / "a.zip")))
    other = source_of(open_files(as_zip(dict(reversed(files.items())), tmp_path / "b.zip")))
    assert (digest(one), seen(one)) == (digest(other), seen(other))


@pytest.mark.parametrize("path", ["train/n01/images/n01_0.JPEG", "val/val_annotations.txt", "words.txt"])
def test_fingerprint_sees_each_file_that_is_used(tmp_path: Path, path: str) -> None:
    """A changed byte in an image or label file makes another source; files that are not read do not count."""
    files = small()
    before = digest(source_of(open_files(as_zip(files, tmp_path / "a.zip"))))
    unused = {name: data for name, data in files.items() if not name.startswith("test/")}
    assert digest(source_of(open_files(as_zip(unused, tmp_path / "b.zip")))) == before
    files[path] += b" \n"
    assert digest(source_of(open_files(as_zip(files, tmp_path / "c.zip")))) != before


def test_first_classes_and_first_images(tmp_path: Path) -> None:
    """A part of the source keeps the labels and names of its classes, and the first images of each."""
    source = source_of(open_files(as_folder(small(), tmp_path)))
    part = source.limited(2, 3)
    assert [one.id for one in part.classes] == ["n01", "n02"]
    assert {name: np.bincount(one.labels).tolist() for name, one in splits_of(part).items()} == {
        "train": [3, 3],
        "val": [2, 2],
    }
    assert [entry.path for entry in splits_of(part)["train"].files] == [
        f"train/{wnid}/images/{wnid}_{k}.JPEG" for wnid in ("n01", "n02") for k in range(3)
    ]
    assert splits_of(source.limited(None, None))["val"].files.paths == splits_of(source)["val"].files.paths


def without(*paths: str) -> Callable[[Contents], None]:
    """A change that removes files."""

    def change(files: Contents) -> None:
        for path in paths:
            del files[path]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("wnids.txt"), "val/: class images is not in train/"),
        (lambda files: files.update({"wnids.txt": b""}), "wnids.txt must list each class once"),
        (lambda files: files.update({"wnids.txt": b"n01 n02 n03 n01"}), "wnids.txt must list each class once"),
        (
            lambda files: files.update({"wnids.txt": b"n01 n02 n03 n04"}),
            "1 of 4 classes in wnids.txt have no training images.*n04",
        ),
        (lambda files: files.update({"wnids.txt": b"n01 n02"}), "class n03 is not in wnids.txt"),
        (lambda files: files.update({"words.txt": b"\xff\xfe\xfd"}), "not UTF-8"),
        (without("val/val_annotations.txt"), "no val/val_annotations.txt"),
        (without("val/images/0_0.JPEG"), "labels val/images/0_0.JPEG, which does not exist"),
        (lambda files: files.update({"val/images/x.JPEG": b""}), "no label for val/images/x.JPEG"),
        (lambda files: files.update({"val/val_annotations.txt": b"0_0.JPEG\tn99\n"}), "line 1 .*unknown class"),
        (lambda files: files.update({"val/val_annotations.txt": b"junk"}), "line 1 is 'junk'"),
        (
            lambda files: files.update({"val/val_annotations.txt": b"0_0.JPEG\tn01\n0_0.JPEG\tn01\n"}),
            "line 2 .*labelled twice",
        ),
    ],
)
def test_wrong_source_is_named(tmp_path: Path, change: Callable[[Contents], None], words: str) -> None:
    """An incomplete or contradictory data set gives an error that names the file."""
    files = small()
    change(files)
    with pytest.raises(HeadraceError, match=words):
        source_of(open_files(as_folder(files, tmp_path)))


def test_missing_or_foreign_path_is_named(tmp_path: Path) -> None:
    """A missing path, a file of another kind, and an empty folder each give an error that says what is needed."""
    with pytest.raises(UsageError, match="no such file"):
        open_files(tmp_path / "none.zip")
    (tmp_path / "a.txt").write_bytes(b"hello")
    with pytest.raises(UsageError, match="not a folder, zip, tar or listing"):
        open_files(tmp_path / "a.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no data set found"):
        source_of(open_files(tmp_path / "empty"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["fifo", "fifo.zip", "fifo.tar.gz", "fifo.csv", "fifo.parquet"])
def test_fifo_is_no_source(tmp_path: Path, name: str) -> None:
    """A FIFO is refused at once, since opening it would wait for a writer."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=r"fifo.*: cannot be read \(not a regular file\)"):
        open_files(tmp_path / name)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_cut_zip_is_an_error(tmp_path: Path, keep: float) -> None:
    """A truncated zip is reported as such, wherever it ends."""
    path = as_zip(small(), tmp_path / "a.zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError, match="cut short"):
        source_of(open_files(path))


def test_damaged_member_is_named(tmp_path: Path) -> None:
    """A changed byte in the zip is found by its CRC-32, and the file is named."""
    files = small()
    path = as_zip(files, tmp_path / "a.zip")
    content, name = path.read_bytes(), "train/n02/images/n02_1.JPEG"
    place = content.index(files[name]) + 200
    path.write_bytes(content[:place] + b"\0\1\2" + content[place + 3 :])
    with pytest.raises(DataError, match=f"{name}: the member's bytes do not match"):
        seen(source_of(open_files(path)))


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link in the source is not followed, so nothing outside is read."""
    files = small()
    root = as_folder(files, tmp_path / "source")
    secret = tmp_path / "secret.JPEG"
    secret.write_bytes(files["train/n01/images/n01_0.JPEG"])
    (root / "train/n01/images/link.JPEG").symlink_to(secret)
    (root / "train/n02/more").symlink_to(tmp_path)
    assert seen(source_of(open_files(root))) == seen(source_of(open_files(as_folder(files, tmp_path / "plain"))))


def test_file_that_vanishes_or_grows_is_named(tmp_path: Path) -> None:
    """A file that changes between listing and reading is an error that names it."""
    root = as_folder(small(), tmp_path)
    source = source_of(open_files(root))
    (root / "train/n01/images/n01_0.JPEG").unlink()
    (root / "train/n01/images/n01_1.JPEG").write_bytes(b"other")
    first, second, *_ = splits_of(source)["train"].files
    with pytest.raises(DataError, match=r"n01_0\.JPEG: the file cannot be read"):
        source.reader.read(first)
    with pytest.raises(DataError, match=r"n01_1\.JPEG: .*but its size changed"):
        source.reader.read(second)
