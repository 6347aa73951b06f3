"""Draws a contact sheet of a shard set: a row of samples for each class, and below the rows pairs of equal images."""

import textwrap
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.prep.histogram import short
from headrace.prep.images.admit import BadImageError, decode
from headrace.shards.counts import counted
from headrace.shards.draws import Stream, hash64
from headrace.shards.errors import DataError
from headrace.shards.inspection import Twins
from headrace.shards.shardset import ShardSet, Split
from headrace.shards.sheet import FAINT, GAP, SIDE, Sheet, refuse_name

_CLASSES = 40  # classes to show; if there are more, they are evenly spread over the list
_COLUMNS = 2
_BETWEEN = 16  # pixels between splits
_TEXT = 160  # pixels for the name of a class
_HEAD = 44  # pixels for the title
_PAIR = 288  # pixels for a pair of equal images
_QUOTAS = {1: (8,), 2: (6, 2), 3: (4, 2, 2)}  # pictures of a class from each split


def write_sheet(shards: ShardSet, path: Path, twins: Sequence[Twins] = ()) -> str:
    """Write the sheet to `path`, with the pairs of equal images `twins`; return a line for the user."""
    refuse_name(path)
    labels = _labels(len(shards.class_ids))
    _sheet(shards, labels, twins).save(path)
    line = f"{path}: samples of {len(labels):,} of {len(shards.class_ids):,} classes"
    return f"{line}, {counted(len(twins), 'pair')} of equal images" if twins else line


def _labels(classes: int) -> list[int]:
    """All labels, or evenly spaced labels if there are too many classes for one sheet."""
    shown = min(classes, _CLASSES)
    return [place * classes // shown for place in range(shown)]


def _sheet(shards: ShardSet, labels: list[int], twins: Sequence[Twins]) -> Sheet:
    """Draw the sheet: a title, the rows of all classes in two columns, and below them the pairs of equal images."""
    names = shards.split_names[: len(_QUOTAS)]
    quotas = dict(zip(names, _QUOTAS[len(names)], strict=True))
    row_width = _TEXT + sum(quotas.values()) * (SIDE + GAP) + len(quotas) * _BETWEEN
    rows = -(-len(labels) // _COLUMNS)
    columns = -(-len(labels) // rows)
    width, high = max(columns * row_width, _PAIR), _HEAD + rows * (SIDE + GAP)
    each_row = width // _PAIR
    sheet = Sheet(width, high + (_HEAD + -(-len(twins) // each_row) * (SIDE + GAP) if twins else 0))
    counts = ", ".join(f"{quota} {name}" for name, quota in quotas.items())
    sheet.write((8, 8), f"{shards.name}   {counts} samples a class   digest {shards.digest[:16]}", 15)
    splits = [(shards.split(name), quota) for name, quota in quotas.items()]
    for place, label in enumerate(labels):
        left, top = place // rows * row_width, _HEAD + place % rows * (SIDE + GAP)
        _caption(sheet, (left + 8, top), label, shards.class_names[label])
        _row(sheet, (left + _TEXT, top), label, splits)
    opened = {split.name: split for split, _ in splits}
    if twins:
        sheet.write((8, high + 8), "equal images: the first pairs across splits, under two labels, and others", 15)
    for place, one in enumerate(twins):
        at = (8 + place % each_row * _PAIR, high + _HEAD + place // each_row * (SIDE + GAP))
        _pair(sheet, at, one, opened, shards)
    for split in opened.values():
        split.close()
    return sheet


def _pair(sheet: Sheet, at: tuple[int, int], twins: Twins, opened: dict[str, Split], shards: ShardSet) -> None:
    """Draw the image that two samples have in common, and beside it the split, key and class of both samples."""
    name = twins.first.split
    if name not in opened:
        opened[name] = shards.split(name)
    split = opened[name]
    ids = np.array([twins.first.id])
    sheet.show(at, _decoded(split, twins.first.id, split.jpegs(ids)[0]))
    for number, one in enumerate((twins.first, twins.second)):
        left, top = at[0] + SIDE + 8, at[1] + number * SIDE // 2
        sheet.write((left, top), f"{short(one.split, 10)} {short(one.key, 18)}", 11, FAINT)
        sheet.write((left, top + 13), short(shards.class_names[one.label]), 12)


def _row(sheet: Sheet, at: tuple[int, int], label: int, splits: list[tuple[Split, int]]) -> None:
    """Draw pictures of samples of a class from each split, side by side."""
    left, top = at
    for split, quota in splits:
        for place, pixels in enumerate(_pictures(split, label, quota)):
            sheet.show((left + place * (SIDE + GAP), top), pixels)
        left += quota * (SIDE + GAP) + _BETWEEN


def _caption(sheet: Sheet, at: tuple[int, int], label: int, name: str) -> None:
    """Write the label, and below it the name of the class on up to three lines."""
    sheet.write(at, str(label), 10, FAINT)
    for number, line in enumerate(textwrap.wrap(short(name, 66), 22)[:3]):
        sheet.write((at[0], at[1] + 14 + 15 * number), line, 13)


def _pictures(split: Split, label: int, count: int) -> list[NDArray[np.uint8]]:
    """The pixels of up to `count` samples of the class; every call chooses the same samples."""
    ids = np.flatnonzero(split.labels == label)
    keys = hash64(0, Stream.PREP, zlib.crc32(b"--sheet"), ids)
    chosen = ids[np.argsort(keys, kind="stable")[:count]]
    return [_decoded(split, one, jpeg) for one, jpeg in zip(chosen.tolist(), split.jpegs(chosen), strict=True)]


def _decoded(split: Split, sample_id: int, jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    try:
        return decode(jpeg.tobytes())
    except BadImageError as error:
        raise DataError(
            f"{split.describe(sample_id)}: {error}. Run `headrace verify --deep` to list all damage"
        ) from error
