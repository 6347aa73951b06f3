"""Looking at the data of a set: by split, id and key, as bytes, array and image."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from headrace.prep.images.admit import decode
from headrace.shards.errors import DataError, UsageError
from headrace.shards.picture import Picture
from headrace.shards.shardset import ShardSet


def test_samples_by_id_and_key(tiny_set: Path) -> None:
    """The id and the key find the same sample, and its pixels are those that prep admitted."""
    split = ShardSet.open(str(tiny_set))["val"]
    for sample_id in (0, 3, -1):
        sample = split[sample_id]
        assert sample == split[sample.key]
        assert sample.label == split.labels[sample_id]
        assert sample.jpeg == split.jpegs(np.array([range(len(split))[sample_id]]))[0].tobytes()
        assert np.array_equal(sample.array(), decode(sample.jpeg))
        assert sample.image().size == (split.widths[sample_id], split.heights[sample_id])
    assert [sample.label for sample in split] == split.labels.tolist()
    with pytest.raises(IndexError):
        split[len(split)]
    with pytest.raises(KeyError):
        split["nothing"]


def test_set_is_walked_by_the_names_of_its_splits(tiny_set: Path) -> None:
    """A set can be used as a dictionary of its splits: iteration, length and membership."""
    shards = ShardSet.open(tiny_set)
    assert list(shards) == ["train", "val"]
    assert len(shards) == 2
    assert "val" in shards
    assert "test" not in shards
    with pytest.raises(UsageError, match="no split 'test'"):
        shards["test"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(orientation: int) -> None:
    """The EXIF orientation is applied as Pillow does for plain files."""
    pixels = np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(stream.getvalue())))
    assert np.array_equal(Picture("k", stream.getvalue(), 0).array(), np.asarray(expected))


def test_damage_names_the_sample() -> None:
    """The error for an image that cannot be decoded names the sample."""
    with pytest.raises(DataError, match="key k: the image does not decode"):
        Picture("k", b"\xff\xd8 no JPEG", 0).image()


def test_more_pixels_than_pillow_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on pixels is Pillow's, and it is raised in the same way."""
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "JPEG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UsageError, match=r"key k: .*Raise PIL.Image.MAX_IMAGE_PIXELS"):
        Picture("k", stream.getvalue(), 0).image()
