"""Reading a batch without the interpreter's lock gives the bytes and errors of plain reading, in one array."""

import shutil
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards.errors import DataError
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.decode.reading import read
from headrace.train.input.kernels.read import checksum, checksum_tables
from tests.train.pictures import Pixels, picture, split_of, spoiled

TABLES = checksum_tables()


@pytest.fixture
def split(tiny_set: Path) -> Split:
    """Return the 480 training samples of the tiny set."""
    return ShardSet.open(tiny_set).split("train")


@given(st.binary(max_size=200), st.integers(0, 40))
def test_checksum_is_zlibs(data: bytes, beyond: int) -> None:
    """The checksum equals zlib's for any bytes and any number of them, and ignores later bytes."""
    held = np.frombuffer(data + bytes(beyond), np.uint8)
    assert int(checksum(held, len(data), TABLES)) == crc32(data)


@given(st.lists(st.integers(0, 479), min_size=1, max_size=40))
def test_rows_are_the_files(split_for_good: Split, ids: list[int]) -> None:
    """For any samples in any order, each row is the file followed by zeros, as long as the longest file."""
    rows = read(split_for_good, np.array(ids))
    files = split_for_good.jpegs(np.array(ids))
    assert isinstance(rows, np.ndarray)
    assert rows.shape == (len(ids), max(map(len, files)))
    for row, file in zip(rows, files, strict=True):
        assert (row[: len(file)] == file).all()
        assert not row[len(file) :].any()


@pytest.fixture(scope="module")
def split_for_good(tiny_set: Path) -> Split:
    """Return one split for all examples of a property."""
    return ShardSet.open(tiny_set).split("train")


def cut(jpeg: Pixels) -> Pixels:
    """Return a file that ends in the middle."""
    return jpeg[: len(jpeg) * 3 // 5]


def longer(jpeg: Pixels) -> Pixels:
    """Return a file with a byte after the end of its image."""
    return np.append(jpeg, np.uint8(7))


@pytest.mark.parametrize("spoil", [cut, longer], ids=lambda spoil: spoil.__name__)
def test_zeros_follow_only_the_end_of_an_image(split: Split, tmp_path: Path, spoil: object) -> None:
    """If a file does not end with the end-of-image marker, all files of its batch are returned without zeros."""
    spoiled(split, 2, spoil, tmp_path)  # type: ignore[arg-type]
    files = read(split, np.arange(4))
    assert isinstance(files, list)
    assert [one.tobytes() for one in files] == [one.tobytes() for one in split.jpegs(np.arange(4))]


def test_one_long_file_does_not_lengthen_all(tmp_path: Path) -> None:
    """If padding would be several times the bytes of the files, they are returned as separate arrays."""
    split = split_of([picture(8, 8)] * 9 + [picture(900, 900)], tmp_path)
    sizes = [len(one) for one in split.jpegs(np.arange(10))]
    assert max(sizes) * 10 > 4 * sum(sizes)
    assert isinstance(read(split, np.arange(10)), list)
    short = np.flatnonzero(np.array(sizes) < max(sizes))
    assert isinstance(read(split, short), np.ndarray)


@pytest.mark.parametrize("harm", ["changed", "cut off"])
def test_damage_is_named(tiny_set: Path, tmp_path: Path, harm: str) -> None:
    """A changed byte, or a tar truncated during the run, is an error with shard, key and the actual values."""
    folder = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    split = ShardSet.open(folder).split("train")
    with (folder / "train-000001.tar").open("r+b") as tar:
        if harm == "changed":
            tar.seek(700)
            tar.write(b"\0\0\0\0")
        else:
            tar.truncate(700)
    seen = "CRC-32" if harm == "changed" else "bytes read of"
    with pytest.raises(DataError, match=rf"train-000001\.tar, key 000000096 .*{seen}.*headrace verify"):
        read(split, np.arange(90, 100))
