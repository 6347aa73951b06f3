"""Images that a user names, gathered from wherever they lie."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.prep.gather import Gathered, gather
from headrace.shards.encoded import Ready
from tests.prep.contents import as_folder, as_zip
from tests.prep.sources.test_imagefolder import as_tar, tree
from tests.prep.sources.test_parquet_images import written

FILES = tree("ant/1.jpg", "cat/2.jpg", "3.jpg")


def read(gathered: Gathered) -> list[tuple[str, bytes]]:
    """Name and bytes of each image; all of them can be read."""
    given = list(gathered.read(range(len(gathered))))
    assert all(isinstance(one, Ready) for one in given), given
    return [(one.name, one.data) for one in given if isinstance(one, Ready)]


FORMS: dict[str, Callable[[Path], Path]] = {
    "a": lambda path: as_folder(FILES, path),
    "a.zip": lambda path: as_zip(FILES, path, root=""),
    "a.tar": lambda path: as_tar(FILES, path, "w"),
    "a.tar.gz": lambda path: as_tar(FILES, path, "w:gz"),
    "a.tar.xz": lambda path: as_tar(FILES, path, "w:xz"),
}


@pytest.mark.parametrize("name", FORMS)
def test_images_of_folders_and_archives(name: str, tmp_path: Path) -> None:
    """Each is read, also through the unpacked copy of a compressed tar, for as long as it is asked for."""
    path = FORMS[name](tmp_path / name)
    gathered = gather([path], 2)
    assert read(gathered) == [(f"{path}/{inside}", FILES[inside]) for inside in sorted(FILES)]
    assert gathered.pixels(1) is not None


@pytest.mark.parametrize("folder", [False, True])
def test_images_of_parquet_files(folder: bool, tmp_path: Path) -> None:
    """Of a file, or of a folder with such files."""
    file = written(tmp_path / "in/train.parquet", [0, 1, 2])
    place = tmp_path / "in" if folder else file
    assert [name for name, _ in read(gather([place], 2))] == [f"{place}/train.parquet/{k:07}" for k in range(3)]


def test_images_of_a_listing(tmp_path: Path) -> None:
    """All that it names, as prep takes them: also a hidden file."""
    files = tree(".kept/1.jpg", "2.jpg", "3.jpg")
    as_folder(files, tmp_path)
    (tmp_path / "list.csv").write_text("path,label\n.kept/1.jpg,ant\n3.jpg,cat\n")
    found = read(gather([tmp_path / "list.csv"], 1))
    assert found == [(f"{tmp_path}/list.csv/{name}", files[name]) for name in (".kept/1.jpg", "3.jpg")]


def test_listed_file_that_is_no_image_is_not_passed_over(tmp_path: Path) -> None:
    """It is there, with the reason."""
    as_folder({**tree("1.jpg"), "notes.txt": b"no image"}, tmp_path)
    (tmp_path / "list.csv").write_text("path,label\n1.jpg,ant\nnotes.txt,cat\n")
    gathered = gather([tmp_path / "list.csv"], 1)
    assert [type(one).__name__ for one in gathered.read(range(len(gathered)))] == ["Ready", "Unreadable"]
