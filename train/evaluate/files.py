"""Writes the files of `headrace eval --out`: predictions, a table and a sheet of mistakes, and the confusion matrix."""

import csv
import io
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.shards import store
from headrace.shards.counts import counted
from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet, Split
from headrace.shards.sheet import Tile, write_tiles
from headrace.train.record import predictions as kept
from headrace.train.record.metrics import confusion, mistakes
from headrace.train.record.predictions import Predictions

_SHOWN = 60  # mistakes on the sheet
_MOST_CLASSES = 4096  # limit for a confusion matrix as a table: 17 million numbers
MISTAKES = ("key", "source", "label", "class", "name", "predicted", "predicted_class", "predicted_name", "probability")


def write_files(folder: Path, predictions: Predictions, shards: ShardSet) -> list[str]:
    """Write the files into the folder, which is made if missing; return a line for the user about each file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store.storage_error(error, folder) from error
    predictions.write(folder / kept.NAME)
    wrong = mistakes(predictions)
    lines = [f"{folder / kept.NAME}: the predictions for {counted(len(predictions.ids), 'sample')}"]
    with closing(shards.split(predictions.origin.split)) as split:
        _write_mistakes(folder / "mistakes.csv", predictions, split, wrong)
        lines.append(f"{folder / 'mistakes.csv'}: all {len(wrong):,} mistakes, the most confident first")
        shown = wrong[:_SHOWN]
        write_tiles(
            folder / "sheet.png",
            f"The {len(shown)} most confident of {len(wrong):,} mistakes: prediction, then the label",
            [_tile(predictions, split, row) for row in shown.tolist()],
        )
        lines.append(f"{folder / 'sheet.png'}: the {len(shown)} most confident mistakes")
    if len(predictions.origin.classes) <= _MOST_CLASSES:
        _write_confusion(folder / "confusion.csv", predictions)
        lines.append(
            f"{folder / 'confusion.csv'}: rows are labels, columns predictions; a row sums to its class's count"
        )
    return lines


def _write_mistakes(path: Path, predictions: Predictions, split: Split, rows: NDArray[np.int64]) -> None:
    """Write a CSV table with a line for each mistake and the columns of MISTAKES."""
    origin = predictions.origin
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(MISTAKES)
    for row in rows.tolist():
        label, predicted = int(predictions.labels[row]), int(predictions.top_labels[row, 0])
        table.writerow(
            (
                predictions.keys[row],
                split.sources[int(predictions.ids[row])],
                *(label, origin.classes[label], origin.class_names[label]),
                *(predicted, origin.classes[predicted], origin.class_names[predicted]),
                f"{predictions.top_probabilities[row, 0]:.6f}",
            )
        )
    store.write_bytes(path, out.getvalue().encode("utf-8", "backslashreplace"))


def _tile(predictions: Predictions, split: Split, row: int) -> Tile:
    """Return a tile of the sheet: the image of a mistake, with the prediction and the true class below."""
    names = [name.split(",", 1)[0] for name in predictions.origin.class_names]
    predicted, label = int(predictions.top_labels[row, 0]), int(predictions.labels[row])
    chance = 100 * float(predictions.top_probabilities[row, 0])
    lines = (f"{names[predicted]} {chance:.1f}%", f"is {names[label]}", f"key {predictions.keys[row]}")
    try:
        return Tile(split[int(predictions.ids[row])].array(), lines)
    except HeadraceError:  # Pillow reads fewer files than the decoder that evaluated it
        return Tile(None, lines)


def _write_confusion(path: Path, predictions: Predictions) -> None:
    """Write the confusion matrix as a CSV table, with class ids in the header line and in the first column."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    classes = predictions.origin.classes
    table.writerow(("label", *classes))
    table.writerows((one, *row) for one, row in zip(classes, confusion(predictions).tolist(), strict=True))
    store.write_bytes(path, out.getvalue().encode("utf-8", "backslashreplace"))
