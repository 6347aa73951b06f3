"""Stores pictures in a run folder: training images as the network saw them, and the most confident mistakes.

RUN/pictures/training.json and RUN/pictures/mistakes.json each hold a list of pictures. A picture is a JPEG in base64
with sides of at most 96 pixels, and a caption.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.shards import regular, store
from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet
from headrace.shards.thumbnail import thumbnail
from headrace.train.record.metrics import mistakes
from headrace.train.record.predictions import Predictions

FOLDER = "pictures"
TRAINING, MISTAKES = "training.json", "mistakes.json"
MOST = 20
"""The largest number of pictures of each kind."""


@dataclass(frozen=True)
class Captioned:
    """A picture and the lines of its caption."""

    jpeg: str  # base64; "" if it cannot be shown
    lines: tuple[str, ...]


@dataclass(frozen=True)
class SeenImages:
    """Training images as the network saw them, uint8 (n, size, size, 3), with their labels.

    If images were mixed in pairs (mixup or CutMix), `partners` holds the label of the other image of each pair.
    """

    step: int
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]  # (n,)
    partners: NDArray[np.int64] | None  # (n,), labels of the images mixed in
    share: float  # share of the image's own label, if images are mixed


def write_training(folder: Path, seen: SeenImages, names: Sequence[str]) -> None:
    """Store the first images of `seen` (at most MOST) in the run folder, with their class names as captions."""
    pictures = [
        Captioned(_encoded(pixels), _seen_lines(seen, number, names))
        for number, pixels in enumerate(seen.pixels[:MOST])
    ]
    _write(folder, TRAINING, pictures, step=seen.step)


def write_mistakes(folder: Path, predictions: Predictions, shards: ShardSet) -> None:
    """Store the most confident mistakes in the run folder, with their images from the shard set."""
    split = shards.split(predictions.origin.split)
    try:
        pictures = []
        for row in mistakes(predictions)[:MOST].tolist():
            try:
                jpeg = _encoded(split[int(predictions.ids[row])].array())
            except HeadraceError:  # Pillow reads fewer files than the decoder that evaluated it
                jpeg = ""
            pictures.append(Captioned(jpeg, _mistake_lines(predictions, row)))
    finally:
        split.close()
    _write(folder, MISTAKES, pictures, checkpoint=predictions.origin.checkpoint)


def read(folder: Path, name: str) -> tuple[dict[str, Any], list[Captioned]]:
    """Read the picture file `name`; return its step or checkpoint as a dict, and its list of pictures.

    Both are empty if the file cannot be read.
    """
    try:
        found = json.loads(regular.read(folder / FOLDER / name))
        pictures = [Captioned(_checked(one["jpeg"]), tuple(map(str, one["lines"]))) for one in found.pop("pictures")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, []
    return found, pictures


def _write(folder: Path, name: str, pictures: Iterable[Captioned], **about: Any) -> None:
    store.make_folder(folder / FOLDER)
    text = json.dumps({**about, "pictures": [asdict(one) for one in pictures]})
    store.write_bytes(folder / FOLDER / name, text.encode())


def _checked(jpeg: str) -> str:
    """Return the picture's base64 text in canonical form, because it becomes part of a URL in the page.

    Raises ValueError if the text is not base64.
    """
    return base64.b64encode(base64.b64decode(jpeg, validate=True)).decode()


def _encoded(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(thumbnail(pixels)).decode()


def _seen_lines(seen: SeenImages, number: int, names: Sequence[str]) -> tuple[str, ...]:
    own = names[int(seen.labels[number])]
    if seen.partners is None:
        return (own,)
    shares = ((seen.share, own), (1 - seen.share, names[int(seen.partners[number])]))
    return tuple(f"{share:.0%} {name}" for share, name in sorted(shares, key=lambda one: -one[0]))


def _mistake_lines(predictions: Predictions, row: int) -> tuple[str, ...]:
    names = predictions.origin.class_names
    predicted, label = int(predictions.top_labels[row, 0]), int(predictions.labels[row])
    chance = float(predictions.top_probabilities[row, 0])
    return (f"{names[predicted]}, {chance:.1%}", f"is {names[label]}", predictions.keys[row])
