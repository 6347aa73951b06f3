import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headrace.shards.shardset import ShardSet
from headrace.train.record.page import pictures
from headrace.train.record.page.pictures import (
    MISTAKES,
    MOST,
    TRAINING,
    SeenImages,
    read,
    write_mistakes,
    write_training,
)
from headrace.train.record.predictions import Origin, Predictions

NAMES = ("cat", "dog")


def seen(count: int, side: int, partners: bool = False) -> SeenImages:
    """Return images of one colour each."""
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None] * 9, (count, side, side, 3)).copy()
    labels = np.arange(count) % 2
    return SeenImages(40, pixels, labels, 1 - labels if partners else None, 0.7 if partners else 1.0)


def decoded(jpeg: str) -> Image.Image:
    """Return the picture in base64, decoded."""
    return Image.open(io.BytesIO(base64.b64decode(jpeg)))


def test_training_images_come_back(tmp_path: Path) -> None:
    """The first training images are shown small, with the names of their classes."""
    write_training(tmp_path, seen(30, 200), NAMES)
    about, found = read(tmp_path, TRAINING)
    assert (about, len(found)) == ({"step": 40}, MOST)
    for number, one in enumerate(found):
        image = decoded(one.jpeg)
        assert (image.format, image.size) == ("JPEG", (96, 96))
        assert abs(np.asarray(image, int) - 9 * number).max() <= 2
        assert one.lines == (NAMES[number % 2],)


def test_small_images_keep_their_size(tmp_path: Path) -> None:
    """Images of 32 pixels keep their size."""
    write_training(tmp_path, seen(1, 32), NAMES)
    assert decoded(read(tmp_path, TRAINING)[1][0].jpeg).size == (32, 32)


def test_mixed_images_say_with_what(tmp_path: Path) -> None:
    """A mixed image has both classes with their shares."""
    write_training(tmp_path, seen(1, 32, partners=True), NAMES)
    assert read(tmp_path, TRAINING)[1][0].lines == ("70% cat", "30% dog")


def guesses(shards: ShardSet) -> Predictions:
    """Return predictions of the validation split: every third is wrong, with rising confidence."""
    split = shards.split("val")
    labels = split.labels.astype(np.int64)
    ids = np.arange(len(labels))
    first = np.where(ids % 3 == 0, (labels + 1) % len(shards.class_ids), labels)
    top = np.stack([first, (first + 5) % 12, (first + 6) % 12, (first + 7) % 12, (first + 8) % 12], 1)
    chances = np.tile(np.array([0.0, 0.1, 0.1, 0.1, 0.1], np.float32), (len(ids), 1))
    chances[:, 0] = 0.5 + ids / 1000
    origin = Origin("val", shards.digest, "c" * 64, 10, False, shards.class_ids, shards.class_names)
    losses = np.ones(len(ids))
    return Predictions(origin, ids, list(split.keys), labels, losses, top, chances)


def test_mistakes_are_the_surest_with_the_images_of_the_set(tmp_path: Path, tiny_set: Path) -> None:
    """The most confident mistakes come first, with prediction, class and key."""
    shards = ShardSet.open(tiny_set)
    made = guesses(shards)
    write_mistakes(tmp_path, made, shards)
    about, found = read(tmp_path, MISTAKES)
    assert (about, len(found)) == ({"checkpoint": "c" * 64}, MOST)
    surest = 117
    predicted, label = (shards.class_names[int(one)] for one in (made.top_labels[surest, 0], made.labels[surest]))
    assert found[0].lines == (f"{predicted}, 61.7%", f"is {label}", made.keys[surest])
    shown, split = np.asarray(decoded(found[0].jpeg), int), shards["val"]
    distances = [abs(shown - picture.array().astype(int)).mean() for picture in split]
    assert int(np.argmin(distances)) == surest


def test_image_that_does_not_decode_has_words_alone(
    tmp_path: Path, tiny_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that Pillow cannot read has only text: Pillow reads fewer files than the decoder."""
    from headrace.shards.errors import DataError
    from headrace.shards.picture import Picture

    def refuse(self: Picture) -> None:
        raise DataError(f"key {self.key}: the image does not decode")

    monkeypatch.setattr(Picture, "array", refuse)
    shards = ShardSet.open(tiny_set)
    write_mistakes(tmp_path, guesses(shards), shards)
    assert {one.jpeg for one in read(tmp_path, MISTAKES)[1]} == {""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"pictures": 5}',
        '{"pictures": [{"jpeg": 5}]}',
        '{"pictures": [{"jpeg": "a\\"b", "lines": []}]}',
    ],
)
def test_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    """Only base64 is ever used in an address of the page."""
    (tmp_path / pictures.FOLDER).mkdir()
    (tmp_path / pictures.FOLDER / TRAINING).write_text(text)
    assert read(tmp_path, TRAINING) == ({}, [])


def test_pages_stay_small(tmp_path: Path) -> None:
    """A page of noise, which compresses worst, at the largest size stays small."""
    noise = np.random.default_rng(1).integers(0, 256, (MOST, 224, 224, 3), np.uint8)
    write_training(tmp_path, SeenImages(0, noise, np.zeros(MOST, np.int64), None, 1.0), NAMES)
    text = (tmp_path / pictures.FOLDER / TRAINING).read_text()
    assert len(text) < 320_000
    assert json.loads(text)["step"] == 0
