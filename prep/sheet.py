"""A contact sheet: real samples of a shard set with the names of their classes, as one PNG.

Pillow sets the text and writes the PNG; `headrace.prep.images.admit` decodes the samples.
"""

import io
import textwrap
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headrace.prep.histogram import short
from headrace.prep.images.admit import BadImageError, decode
from headrace.prep.images.resize import fitting
from headrace.shards import store
from headrace.shards.draws import Stream, hash64
from headrace.shards.errors import DataError, UsageError
from headrace.shards.shardset import ShardSet, Split

_CLASSES = 40  # shown; of more classes, as many evenly spread over the list
_COLUMNS = 2
_SIDE, _GAP, _BETWEEN = 64, 4, 16  # pixels: a picture, between pictures, between splits
_TEXT = 160  # pixels for the name of a class
_HEAD = 44  # pixels for the title
_QUOTAS = {1: (8,), 2: (6, 2), 3: (4, 2, 2)}  # pictures of a class from each split
_INK, _FAINT, _PAPER = (20, 20, 20), (120, 120, 120), (255, 255, 255)


def write_sheet(shards: ShardSet, path: Path) -> str:
    """Write the sheet to `path`; what to tell the user about it."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: a contact sheet is a PNG. Give a name that ends with .png")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}. Make it, or give another name")
    labels = _labels(len(shards.class_ids))
    sheet = _sheet(shards, labels)
    out = io.BytesIO()
    sheet.save(out, "PNG")
    store.write_bytes(path, out.getvalue())
    return f"{path}: samples of {len(labels):,} of {len(shards.class_ids):,} classes"


def _labels(classes: int) -> list[int]:
    """All labels, or some evenly spread over them."""
    shown = min(classes, _CLASSES)
    return [place * classes // shown for place in range(shown)]


def _sheet(shards: ShardSet, labels: list[int]) -> Image.Image:
    """The title, then a row for each class, in columns."""
    names = shards.split_names[: len(_QUOTAS)]
    quotas = dict(zip(names, _QUOTAS[len(names)], strict=True))
    row_width = _TEXT + sum(quotas.values()) * (_SIDE + _GAP) + len(quotas) * _BETWEEN
    rows = -(-len(labels) // _COLUMNS)
    columns = -(-len(labels) // rows)
    sheet = Image.new("RGB", (columns * row_width, _HEAD + rows * (_SIDE + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    counts = ", ".join(f"{quota} {name}" for name, quota in quotas.items())
    _write(pen, (8, 8), f"{shards.root.absolute().name}   {counts} samples a class   digest {shards.digest[:16]}", 15)
    splits = [(shards.split(name), quota) for name, quota in quotas.items()]
    for place, label in enumerate(labels):
        left, top = place // rows * row_width, _HEAD + place % rows * (_SIDE + _GAP)
        _caption(pen, (left + 8, top), label, shards.class_names[label])
        _row(sheet, (left + _TEXT, top), label, splits)
    for split, _ in splits:
        split.close()
    return sheet


def _row(sheet: Image.Image, at: tuple[int, int], label: int, splits: list[tuple[Split, int]]) -> None:
    """The pictures of a class, each in the middle of its square."""
    left, top = at
    for split, quota in splits:
        for place, picture in enumerate(_pictures(split, label, quota)):
            dx, dy = (_SIDE - picture.width) // 2, (_SIDE - picture.height) // 2
            sheet.paste(picture, (left + place * (_SIDE + _GAP) + dx, top + dy))
        left += quota * (_SIDE + _GAP) + _BETWEEN


def _caption(pen: ImageDraw.ImageDraw, at: tuple[int, int], label: int, name: str) -> None:
    """The label, and below it the class's name on up to three lines."""
    _write(pen, at, str(label), 10, _FAINT)
    for number, line in enumerate(textwrap.wrap(short(name, 66), 22)[:3]):
        _write(pen, (at[0], at[1] + 14 + 15 * number), line, 13)


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink: tuple[int, int, int] = _INK
) -> None:
    pen.text(at, text, ink, ImageFont.load_default(size))


def _pictures(split: Split, label: int, count: int) -> list[Image.Image]:
    """Some samples of the class, the same ones each time, as pictures that fit in a square."""
    ids = np.flatnonzero(split.labels == label)
    keys = hash64(0, Stream.PREP, zlib.crc32(b"--sheet"), ids)
    chosen = ids[np.argsort(keys, kind="stable")[:count]]
    return [_fitted(_decoded(split, one, jpeg)) for one, jpeg in zip(chosen.tolist(), split.jpegs(chosen), strict=True)]


def _decoded(split: Split, sample_id: int, jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    try:
        return decode(jpeg.tobytes())
    except BadImageError as error:
        raise DataError(
            f"{split.describe(sample_id)}: {error}. See all damage with `headrace verify --deep`"
        ) from error


def _fitted(pixels: NDArray[np.uint8]) -> Image.Image:
    height, width, _ = pixels.shape
    return Image.fromarray(pixels).resize(fitting(width, height, _SIDE), Image.Resampling.LANCZOS)
