"""Images that a user names, gathered from wherever they are stored."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.gather import Gathered, gather
from headrace.shards.encoded import Ready, Unreadable
from headrace.shards.errors import DataError, UsageError
from tests.prep.contents import as_folder, as_zip
from tests.prep.sources.test_imagefolder import as_tar, tree
from tests.prep.sources.test_parquet_images import written

FILES = tree("ant/1.jpg", "cat/2.jpg", "3.jpg")


def read(gathered: Gathered) -> list[tuple[str, bytes]]:
    """The name and the bytes of each image, all of which must be readable."""
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
    """Each image is read, even from the unpacked copy of a compressed tar, while the source is open."""
    path = FORMS[name](tmp_path / name)
    gathered = gather([path], 2)
    assert read(gathered) == [(f"{path}/{inside}", FILES[inside]) for inside in sorted(FILES)]
    assert gathered.pixels(1) is not None


@pytest.mark.parametrize("folder", [False, True])
def test_images_of_parquet_files(folder: bool, tmp_path: Path) -> None:
    """Images are read from a Parquet file or a folder of such files."""
    file = written(tmp_path / "in/train.parquet", [0, 1, 2])
    place = tmp_path / "in" if folder else file
    assert [name for name, _ in read(gather([place], 2))] == [f"{place}/train.parquet/{k:07}" for k in range(3)]


LISTINGS = {
    "list.csv": "path,label\n.kept/1.jpg,ant\n3.jpg,cat\n",
    "only.csv": "image\n.kept/1.jpg\n3.jpg\n",
    "bare.csv": ".kept/1.jpg\n3.jpg\n",
    "bare, labelled.csv": "ant,.kept/1.jpg\ncat,3.jpg\n",
    "list.jsonl": '{"file_name": ".kept/1.jpg"}\n\n{"file_name": "3.jpg"}\n',
    "list.txt": "\ufeff.kept/1.jpg\r\n\n3.jpg",
}


@pytest.mark.parametrize("name", [*LISTINGS, "list.parquet"])
def test_images_of_a_listing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All images of a listing are read in its order, with or without labels, even a hidden file."""
    files = tree(".kept/1.jpg", "2.jpg", "3.jpg")
    as_folder(files, tmp_path / "in")
    if name in LISTINGS:
        (tmp_path / "in" / name).write_text(LISTINGS[name])
    else:
        pq.write_table(pa.table({"path": [".kept/1.jpg", "3.jpg"]}), tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    wanted = [(f"in/{inside}", files[inside]) for inside in (".kept/1.jpg", "3.jpg")]
    assert read(gather([f"in/{name}"], 1)) == wanted
    monkeypatch.chdir("in")
    assert read(gather([name], 1)) == [(path[3:], data) for path, data in wanted]


@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_what_a_listing_names_and_cannot_be_read_is_there_with_the_reason(kind: str, tmp_path: Path) -> None:
    """An unreadable row keeps its place with the reason, and a path that is listed twice gives two images."""
    as_folder({**tree("in/1.jpg", "2.jpg"), "in/notes.txt": b"no image", "in/cut.jpg": b"\xff\xd8"}, tmp_path)
    (tmp_path / "in/link.jpg").symlink_to(tmp_path / "2.jpg")
    (tmp_path / "in/more").mkdir()
    reasons = {
        "1.jpg": "",
        "notes.txt": "not a readable image",
        "gone.jpg": "no such file",
        "link.jpg": "leads out of the listing's folder",
        "../2.jpg": "leads out of the listing's folder",
        str(tmp_path / "in/link.jpg"): "a symbolic link",
        str(tmp_path / "2.jpg"): "",
        "more": "not a regular file",
        "cut.jpg": "not a sound JPEG",
        "odd\x07.jpg": "no such file",
        "./1.jpg": "",
    }
    listing = tmp_path / "in" / f"list.{kind}"
    listing.write_text("".join(f"{line}\n" for line in [*(["file"] if kind == "csv" else []), *reasons]))
    gathered = gather([listing], 1)
    for (path, reason), one in zip(reasons.items(), gathered.read(range(len(gathered))), strict=True):
        assert one.name == str(tmp_path / "in" / path)
        assert isinstance(one, Ready) if not reason else isinstance(one, Unreadable) and reason in one.reason


def test_listings_without_a_path(tmp_path: Path) -> None:
    """A row without a path counts; a table without such a column is an error; another text file is one row."""
    as_folder(tree("1.jpg"), tmp_path)
    (tmp_path / "a.csv").write_text("label,path\nant,1.jpg\ncat\n")
    *_, last = gather([tmp_path / "a.csv"], 1).read(range(2))
    assert last == Unreadable(str(tmp_path / "a.csv"), "a row without a path")
    (tmp_path / "b.csv").write_text("label,place\nant,1\n")
    with pytest.raises(DataError, match=r"its columns are label, place; none .* give a text file"):
        gather([tmp_path / "b.csv"], 1)
    (tmp_path / "c.txt").write_text("cats\nand dogs\n")
    (text,) = gather([tmp_path / "c.txt"], 1).read(range(1))
    assert text.name == str(tmp_path / "c.txt")
    assert isinstance(text, Unreadable)
    assert "neither an image nor a list of images" in text.reason
    (tmp_path / "d.csv").write_text("path\n")
    with pytest.raises(UsageError, match="no image in it"):
        gather([tmp_path / "d.csv"], 1)


def test_parquet_images_without_labels(tmp_path: Path) -> None:
    """The images are read; prep, which needs labels, lists the columns that there are."""
    pq.write_table(
        pa.table({"image": [{"bytes": data, "path": name} for name, data in FILES.items()]}), tmp_path / "a.parquet"
    )
    assert [data for _, data in read(gather([tmp_path / "a.parquet"], 1))] == [*FILES.values()]
    with pytest.raises(DataError, match="its columns are none; none of them is the label"):
        prep(tmp_path / "a.parquet", tmp_path / "out", Options(), workers=1, if_exists="error", say=print)
