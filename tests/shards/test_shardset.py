import hashlib
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from headrace.shards.columns import read_columns
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import load
from headrace.shards.mapped import MAPPED
from headrace.shards.shardset import ShardSet


@pytest.fixture
def copy(tiny_set: Path, tmp_path: Path) -> Path:
    """A copy of the tiny set that a test may damage."""
    return Path(shutil.copytree(tiny_set, tmp_path / "copy"))


def test_samples_are_those_in_the_tars_in_order(tiny_set: Path) -> None:
    """The row, key, label and bytes of each sample are those a tar reader finds, in the order of the tars."""
    split = ShardSet.open(tiny_set).split("train")
    found = []
    for path in sorted(tiny_set.glob("train-*.tar")):
        with tarfile.open(path) as archive:
            contents = [(one.name, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]
        found += [(jpg[0][:-4], int(cls[1]), jpg[1]) for jpg, cls in zip(contents[::2], contents[1::2], strict=True)]
    jpegs = [jpeg.tobytes() for jpeg in split.jpegs(np.arange(len(split)))]
    assert found == list(zip(split.keys, split.labels.tolist(), jpegs, strict=True))
    assert split.shard_of.tolist() == np.repeat(np.arange(5), 96).tolist()


def test_any_order_of_ids_and_repeats(tiny_set: Path) -> None:
    """Ids may be given in any order and more than once, or not at all."""
    split = ShardSet.open(tiny_set).split("train")
    every = split.jpegs(np.arange(len(split)))
    ids = np.array([479, 0, 250, 0])
    assert [image.tobytes() for image in split.jpegs(ids)] == [every[one].tobytes() for one in ids]
    assert split.jpegs(np.empty(0, np.int64)) == []


def test_threads_share_a_split(tiny_set: Path) -> None:
    """Reads from several threads do not disturb each other."""
    split = ShardSet.open(tiny_set).split("train")
    ids = np.arange(len(split))
    expected = [image.tobytes() for image in split.jpegs(ids)]
    with ThreadPoolExecutor(4) as pool:
        for images in pool.map(split.jpegs, [ids] * 8):
            assert [image.tobytes() for image in images] == expected


def test_classes_and_sizes(tiny_set: Path) -> None:
    """The class list gives the meaning of the labels, and every image has its width and height."""
    shards = ShardSet.open(tiny_set)
    split = shards.split("val")
    assert (len(shards.class_ids), shards.class_names[0]) == (12, "red plain disc")
    assert np.bincount(split.labels).tolist() == [10] * 12
    assert set(split.widths.tolist()) == set(split.heights.tolist()) == {64}
    assert split.labels.dtype == np.int64
    label = int(split.labels[0])
    assert shards.class_ids[label] == f"n{90_000_000 + label}"


def test_unknown_split_names_those_there_are(tiny_set: Path) -> None:
    """The error for an unknown split lists the splits of the set."""
    with pytest.raises(UsageError, match="train, val"):
        ShardSet.open(tiny_set).split("test")


def test_changed_size_is_found_at_opening(copy: Path) -> None:
    """A tar of another size is named with both sizes and the remedy, before anything is read."""
    tar = copy / "train-000002.tar"
    size = tar.stat().st_size
    tar.write_bytes(tar.read_bytes() + b"\0" * 512)
    with pytest.raises(
        DataError, match=rf"train-000002\.tar: {size + 512:,} bytes, but the manifest says {size:,}.*rebuild"
    ):
        ShardSet.open(copy)


def test_missing_tar_is_found_at_opening(copy: Path) -> None:
    """A missing tar is named."""
    (copy / "val-000001.tar").unlink()
    with pytest.raises(DataError, match=r"val-000001\.tar: No such file"):
        ShardSet.open(copy)


def test_damaged_index_is_never_parsed(copy: Path) -> None:
    """A changed byte in the Parquet file is found by its SHA-256 before the file is parsed."""
    path = copy / "train.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train\.parquet"):
        ShardSet.open(copy).split("train")


def test_changed_byte_is_found_when_read(copy: Path) -> None:
    """A flipped bit in a JPEG gives an error with shard, key and source path, even if all sizes are right."""
    split = ShardSet.open(copy).split("train")
    tar = copy / "train-000001.tar"
    content = bytearray(tar.read_bytes())
    content[600] ^= 1
    with tar.open("r+b") as stream:
        stream.write(content)
    split.jpegs(np.array([95, 97]))
    with pytest.raises(DataError, match=r"train-000001\.tar, key 000000096 \(source train/n9.*JPEG\).*CRC-32.*verify"):
        split.jpegs(np.array([95, 96]))


def test_tar_cut_after_opening_is_an_error(copy: Path) -> None:
    """A tar that shrinks under a running program gives an error with the bytes read and expected, not a crash."""
    split = ShardSet.open(copy).split("train")
    with (copy / "train-000004.tar").open("r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(DataError, match=r"train-000004\.tar, key 000000384 .*488 bytes read of"):
        split.jpegs(np.array([384]))


def test_digest_names_the_content(tiny_set: Path, copy: Path) -> None:
    """Equal sets have equal digests wherever they are stored, and derived files do not affect the digest."""
    assert ShardSet.open(tiny_set).digest == ShardSet.open(copy).digest
    assert hashlib.sha256().digest_size * 2 == len(ShardSet.open(copy).digest)


def test_closed_split_has_no_descriptors(tiny_set: Path) -> None:
    """Closing frees the descriptors; reading afterwards fails instead of reading some other file."""
    split = ShardSet.open(tiny_set).split("val")
    split.close()
    with pytest.raises(IndexError):
        split.jpegs(np.array([0]))


def test_median_side_is_of_the_shorter_sides(tiny_set: Path) -> None:
    """The median is taken over the rows of that split; an unknown split is named."""
    shards = ShardSet.open(tiny_set)
    for name in shards:
        split = shards.split(name)
        sides = sorted(np.minimum(split.widths, split.heights).tolist())
        assert shards.median_side(name) == sides[(len(sides) - 1) // 2]
    with pytest.raises(UsageError, match="no split 'none'"):
        shards.median_side("none")


@pytest.mark.parametrize(
    ("widths", "heights", "median"),
    [([], [], 0), ([7], [9], 7), ([10, 300], [200, 20], 10), ([5, 9, 800], [600, 8, 7], 7)],
)
def test_median_of_few_images(
    widths: list[int], heights: list[int], median: int, tiny_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The median of an even number is the smaller of the two in the middle, so it is the side of some image."""
    columns = read_columns(tiny_set, load(tiny_set).splits[0], load(tiny_set))
    columns = columns._replace(widths=np.array(widths, np.int32), heights=np.array(heights, np.int32))
    monkeypatch.setattr(MAPPED, "open", lambda *_: columns)
    assert ShardSet.open(tiny_set).median_side("train") == median
