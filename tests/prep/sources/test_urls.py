"""What prep knows about files at URLs without a request to a server."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from headrace.prep.sources.bucket import split_url
from headrace.prep.sources.files import UNKNOWN_CRC, Entry, FileTable
from headrace.prep.sources.folder import FolderReader
from headrace.prep.sources.listed_files import Seen, States, _url_of, common_folder, listed_reader
from headrace.prep.sources.listing_rows import Item
from headrace.prep.sources.read_ahead import read_all
from headrace.prep.sources.source import states
from headrace.shards.errors import DataError
from headrace.shards.urls import Location, Url


def state(folder: Location, path: str, size: str) -> Seen:
    """The size and time of one row."""
    item = Item(1, path, "cat", "train", size)
    return States(folder, lambda: iter([item]), follow=False).of(item)


@pytest.mark.parametrize("folder", [Path("/nowhere"), Url("s3://bucket/folder")], ids=str)
def test_size_of_a_listing(folder: Location) -> None:
    """A column gives sizes, so no server is asked; signed URLs are refused, since a set would publish them."""
    assert state(folder, "s3://other/a.jpg", "12") == Seen(12, 0)
    assert state(folder, "https://server/a.jpg", "12") == Seen(12, 0)
    for path, size, why in (
        ("https://server/a.jpg?sig=SECRET", "12", r"a query or fragment"),
        ("https://server/a.jpg", "", "add a column `bytes`"),
        ("s3://other/a.jpg", "12 kB", "not a number of bytes"),
        ("ftp://server/a.jpg", "12", "expected a folder, or a URL"),
        ("https://me:SECRET@server/a.jpg", "12", "so it is refused"),
    ):
        with pytest.raises(DataError, match=why) as caught:
            state(folder, path, size)
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("path", ["../a.jpg", "/a.jpg", "b/../../a.jpg"])
def test_relative_paths_stay_in_the_folder_at_a_url(path: str) -> None:
    """Relative paths must stay in the folder, as in a listing on disk."""
    with pytest.raises(DataError, match="leads out"):
        state(Url("s3://bucket/folder"), path, "12")


def test_percent_sign_of_a_relative_path_is_part_of_the_name() -> None:
    """A relative path is a name, as in a listing on a disk; only an absolute URL is percent-encoded."""
    url = _url_of(Url("s3://bucket/a%20b"), "c%20d.jpg")
    assert split_url(url or "") == ("s3://bucket", "a b/c%20d.jpg")


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [("a/b", "a/b", "a/b"), ("a/b/c", "a/b", "a/b"), ("a/bc", "a/b", "a"), ("a", "b", ""), ("", "a", "")],
)
def test_folder_that_is_listed(one: str, other: str, common: str) -> None:
    """The folder to list is the deepest that contains both paths."""
    assert common_folder(one, other) == common_folder(other, one) == common


def test_parts_of_a_url() -> None:
    """Names are decoded to those in object storage."""
    assert split_url("s3://bucket/a%20b/c d.jpg") == ("s3://bucket", "a b/c d.jpg")


class Slow(FolderReader):
    """A folder whose first files come late."""

    def is_remote(self, _: str) -> bool:
        """Pretend that the file is at a URL."""
        return True

    def read(self, entry: Entry) -> bytes:
        """Return the content after a delay."""
        time.sleep(0.02 * (10 - min(int(entry.path), 10)))
        return super().read(entry)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Return the content after the same delay."""
        yield self.read(entry)


def test_files_are_read_ahead_in_order(tmp_path: Path) -> None:
    """Files arrive in order with their times; an error arrives in its place, after the files before it."""
    for number in range(50):
        (tmp_path / str(number)).write_bytes(b"x" * number)
    sizes, nothing = np.arange(50), np.zeros(50, np.int64)
    table = FileTable([*map(str, range(50))], sizes, np.full(50, UNKNOWN_CRC), nothing, sizes, nothing, nothing)
    found = list(read_all(Slow(tmp_path, ""), table))
    assert [len(data) for _, _, data in found] == list(range(50))
    assert found == list(read_all(FolderReader(tmp_path, ""), table))
    assert states(table, Slow(tmp_path, "")) == states(table, FolderReader(tmp_path, ""))
    (tmp_path / "7").unlink()
    reading = read_all(Slow(tmp_path, ""), table)
    assert [len(next(reading)[2]) for _ in range(7)] == list(range(7))
    with pytest.raises(DataError, match="7: the file cannot be read"):
        next(reading)


def test_reader_of_a_listing_on_the_disk(tmp_path: Path) -> None:
    """Only paths that are URLs count as remote."""
    reader = listed_reader(tmp_path, "", follow=False)
    assert (reader.is_remote("a.jpg"), reader.is_remote("s3://bucket/a.jpg")) == (False, True)
