"""Makes the section about classes of a run's web page: best and worst classes, and the confusion matrix."""

import base64
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.thumbnail import palette_png
from headrace.train.record.metrics import Metrics
from headrace.train.record.predictions import Predictions

_SHOWN = 10  # number of best classes, worst classes and confusions
_CELLS = 1000  # largest side of the picture
_LEVELS = 120  # of each colour
_RIGHT, _WRONG = (0x2B, 0x7B, 0xD6), (0xD9, 0x5F, 0x0E)


class ClassRow(NamedTuple):
    """A class and its results, as shares from 0 to 1; `precision` is None if the class was never predicted."""

    id: str
    name: str
    samples: int
    recall: float
    precision: float | None
    mistaken_for: str  # the class it is most often mistaken for; "" if none


class Confusion(NamedTuple):
    """The number of images of the class `name` that were predicted as the class `predicted`."""

    name: str
    predicted: str
    images: int


class Classes(NamedTuple):
    """The contents of the page's section about classes."""

    metrics: Metrics
    best: list[ClassRow]
    worst: list[ClassRow]
    confusions: list[Confusion]
    picture: str  # the confusion matrix, a PNG in base64
    cells: int  # side of the picture


def classes_of(predictions: Predictions) -> Classes:
    """Make the section about classes from predictions, which must have at least one sample."""
    metrics, names = Metrics.of(predictions), predictions.origin.class_names
    labels, predicted = predictions.labels, predictions.top_labels[:, 0]
    wrong = np.flatnonzero(labels != predicted)
    pairs, counts = np.unique(labels[wrong] * len(names) + predicted[wrong], return_counts=True)
    falling = np.argsort(-counts, kind="stable")
    frequent = [(*divmod(int(pairs[place]), len(names)), int(counts[place])) for place in falling.tolist()]
    taken_for: dict[int, int] = {}
    for label, other, _ in frequent:
        taken_for.setdefault(label, other)

    def row(label: int) -> ClassRow:
        other, precision = taken_for.get(label), float(metrics.precision[label])
        return ClassRow(
            predictions.origin.classes[label],
            names[label],
            int(metrics.counts[label]),
            float(metrics.recall[label]),
            None if np.isnan(precision) else precision,
            "" if other is None else names[other],
        )

    there = np.flatnonzero(metrics.counts)
    rising = there[np.argsort(metrics.recall[there], kind="stable")].tolist()
    few = min(_SHOWN, len(rising) // 2)
    cells = min(len(names), _CELLS)
    return Classes(
        metrics,
        best=[row(label) for label in rising[::-1][:few]],
        worst=[row(label) for label in rising[: max(few, 1)]],
        confusions=[Confusion(names[label], names[other], count) for label, other, count in frequent[:_SHOWN]],
        picture=base64.b64encode(_matrix(labels, predicted, len(names), cells)).decode(),
        cells=cells,
    )


def _matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int, cells: int) -> bytes:
    """Draw the confusion matrix as a PNG with `cells` rows, for labels, and `cells` columns, for predictions.

    With more classes than cells, neighbouring classes share a cell. A cell's opacity is the square root of its share of
    the row's samples, so that a share of a few per cent is visible. A cell without samples is transparent.
    """
    rows, columns = labels * cells // classes, predicted * cells // classes
    counts = np.bincount(rows * cells + columns, minlength=cells**2).reshape(cells, cells)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    levels = np.ceil(np.sqrt(shares) * _LEVELS).astype(np.uint8)
    other = ~np.eye(cells, dtype=bool) & (levels > 0)
    levels[other] += _LEVELS
    colours = np.zeros((1 + 2 * _LEVELS, 4), np.uint8)
    alpha = np.arange(1, _LEVELS + 1) * 255 // _LEVELS
    for first, colour in ((1, _RIGHT), (1 + _LEVELS, _WRONG)):
        colours[first : first + _LEVELS, :3] = colour
        colours[first : first + _LEVELS, 3] = alpha
    return palette_png(levels, colours)
