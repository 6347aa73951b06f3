"""Computes metrics of predictions with NumPy: accuracy, loss, recall, precision, confusion, calibration."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.train.record.predictions import Predictions

BINS = 15
"""The number of equally wide bins of the calibration error, as in Guo et al. 2017 (arXiv:1706.04599)."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of one split.

    A class without samples has recall NaN; a class that is never predicted has precision NaN.
    """

    samples: int
    correct: int
    top1: float  # share of samples whose label is the most likely class
    top5: float  # share of samples whose label is among the five most likely
    loss: float  # mean cross-entropy
    calibration_error: float
    counts: NDArray[np.int64]  # (classes,), samples of each
    recall: NDArray[np.float64]  # (classes,), share of a class's samples that are predicted as it
    precision: NDArray[np.float64]  # (classes,), share of the samples predicted as a class that belong to it

    @classmethod
    def of(cls, predictions: Predictions) -> "Metrics":
        """Compute the metrics of predictions, which must have at least one sample."""
        labels, first = predictions.labels, predictions.top_labels[:, 0]
        classes = len(predictions.origin.classes)
        right = labels == first
        counts, predicted = np.bincount(labels, minlength=classes), np.bincount(first, minlength=classes)
        hits = np.bincount(labels[right], minlength=classes)
        return cls(
            samples=len(labels),
            correct=int(right.sum()),
            top1=float(right.mean()),
            top5=float((predictions.top_labels == labels[:, None]).any(1).mean()),
            loss=float(predictions.losses.mean()),
            calibration_error=calibration_error(predictions.top_probabilities[:, 0], right),
            counts=counts,
            recall=_share(hits, counts),
            precision=_share(hits, predicted),
        )

    def record(self, predictions: Predictions) -> dict[str, Any]:
        """Return the metrics as plain values, with one row for each class in label order; None replaces NaN."""
        origin = predictions.origin
        columns = (origin.classes, origin.class_names, self.counts.tolist(), self.recall, self.precision)
        return {
            "top1": self.top1,
            "top5": self.top5,
            "loss": _number(self.loss),
            "samples": self.samples,
            "calibration_error": self.calibration_error,
            "split": origin.split,
            "step": origin.step,
            "averaged": origin.averaged,
            "classes": [
                {
                    "label": label,
                    "class": one,
                    "name": name,
                    "samples": count,
                    "recall": _number(recall),
                    "precision": _number(precision),
                }
                for label, (one, name, count, recall, precision) in enumerate(zip(*columns, strict=True))
            ],
        }

    def lines(self, predictions: Predictions) -> list[str]:
        """Return lines to print after the accuracy: top-5 accuracy, calibration, and the classes with lowest recall."""
        origin = predictions.origin
        kept = predictions.top_labels.shape[1]
        few = f", always so with {kept} classes" if kept == len(origin.classes) else ""
        lines = [
            f"top-5 {100 * self.top5:.2f}% (the label is among the {kept} most likely{few})",
            f"calibration error {self.calibration_error:.4f} ({BINS} bins of the most likely class's probability)",
        ]
        there = np.flatnonzero(self.counts)
        worst = there[np.argsort(self.recall[there], kind="stable")[:_WORST]].tolist()
        some = (f"{origin.classes[one]} {origin.class_names[one]} {100 * self.recall[one]:.0f}%" for one in worst)
        return [*lines, f"least recall: {'; '.join(some)}"]


_WORST = 3  # classes that are named


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Return the confusion matrix (c, c): how many samples of the row's class are predicted as the column's class.

    A row sums to the number of samples of its class.
    """
    classes = len(predictions.origin.classes)
    pairs = predictions.labels * classes + predictions.top_labels[:, 0]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def calibration_error(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: the mean absolute difference of confidence and accuracy over the bins.

    The mean is weighted by the number of samples in each bin. Bin b of B contains the confidences in the interval
    (b / B, (b + 1) / B].
    """
    bins = np.clip(np.ceil(confidence.astype(np.float64) * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, right - confidence.astype(np.float64), BINS)
    return float(np.abs(gaps).sum() / len(right))


def mistakes(predictions: Predictions) -> NDArray[np.int64]:
    """Return the row numbers of the samples whose most likely label is wrong, the most confident mistake first."""
    wrong = np.flatnonzero(predictions.labels != predictions.top_labels[:, 0])
    return wrong[np.argsort(-predictions.top_probabilities[wrong, 0], kind="stable")]


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.full(len(part), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
