import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.train.record.metrics import BINS, Metrics, calibration_error, confusion, mistakes
from tests.checkout import ROOT
from tests.train.record.test_predictions import some


@given(classes=st.integers(1, 12), samples=st.integers(1, 60), seed=st.integers(0, 99))
def test_figures_are_those_of_the_definitions(classes: int, samples: int, seed: int) -> None:
    """Each figure equals a count sample by sample; rows of the confusion matrix sum to class counts."""
    made = some(classes, samples, seed)
    found, table = Metrics.of(made), confusion(made)
    rows = list(zip(made.labels.tolist(), made.top_labels.tolist(), strict=True))
    assert found.samples == samples
    assert found.correct == sum(label == top[0] for label, top in rows)
    assert found.top1 == pytest.approx(found.correct / samples)
    assert found.top5 == pytest.approx(sum(label in top for label, top in rows) / samples)
    assert found.loss == pytest.approx(float(made.losses.mean()))
    assert table.sum(1).tolist() == found.counts.tolist() == np.bincount(made.labels, minlength=classes).tolist()
    for one in range(classes):
        mine = [top[0] == one for label, top in rows if label == one]
        told = [label == one for label, top in rows if top[0] == one]
        assert found.recall[one] == pytest.approx(np.mean(mine) if mine else np.nan, nan_ok=True)
        assert found.precision[one] == pytest.approx(np.mean(told) if told else np.nan, nan_ok=True)
        assert table[one, one] == sum(mine)


def slowly(confidence: list[float], right: list[bool]) -> float:
    """Compute the calibration error bin by bin, as the paper defines it."""
    total = 0.0
    for number in range(BINS):
        inside = [row for row, one in enumerate(confidence) if number / BINS < one <= (number + 1) / BINS]
        if inside:
            accuracy = sum(right[row] for row in inside) / len(inside)
            total += len(inside) * abs(accuracy - sum(confidence[row] for row in inside) / len(inside))
    return total / len(confidence)


@given(st.lists(st.tuples(st.floats(2**-10, 1, width=32), st.booleans()), min_size=1, max_size=80))
def test_calibration_error_is_that_of_the_paper(samples: list[tuple[float, bool]]) -> None:
    """The error compares confidence with accuracy in fifteen equal bins."""
    confidence, right = zip(*samples, strict=True)
    found = calibration_error(np.array(confidence, np.float32), np.array(right))
    assert found == pytest.approx(slowly(list(confidence), list(right)), abs=1e-6)


def test_calibration_error_of_known_cases() -> None:
    """Always sure and right gives 0, always sure and wrong 1, half sure and half right 0."""
    assert calibration_error(np.ones(4, np.float32), np.ones(4, bool)) == 0
    assert calibration_error(np.ones(4, np.float32), np.zeros(4, bool)) == 1
    assert calibration_error(np.full(4, 0.5, np.float32), np.array([True, False] * 2)) == 0


def test_mistakes_come_with_the_most_confident_first() -> None:
    """All rows with a wrong first label are listed, by falling probability."""
    made = some(12, 60)
    rows = mistakes(made)
    assert sorted(rows.tolist()) == np.flatnonzero(made.labels != made.top_labels[:, 0]).tolist()
    assert (np.diff(made.top_probabilities[rows, 0]) <= 0).all()


def test_plain_values_are_json() -> None:
    """The object has all figures; a class that is never seen or predicted has null, not NaN."""
    made = replace(some(4), labels=np.zeros(20, np.int64), top_labels=np.tile([0, 1, 2, 3], (20, 1)))
    record = json.loads(json.dumps(Metrics.of(made).record(made), allow_nan=False))
    assert (record["top1"], record["top5"], record["samples"]) == (1.0, 1.0, 20)
    assert record["classes"][0] == {
        "label": 0,
        "class": "c0",
        "name": "C0",
        "samples": 20,
        "recall": 1.0,
        "precision": 1.0,
    }
    assert (record["classes"][3]["recall"], record["classes"][3]["precision"]) == (None, None)


def test_top5_below_five_classes_is_said() -> None:
    """With at most five classes top-5 accuracy is always 100 %, and the line says so; with six it does not."""
    for classes, said in ((3, "3 most likely, always so with 3 classes"), (5, "always so"), (6, "5 most likely)")):
        made = some(classes)
        assert said in Metrics.of(made).lines(made)[0]


def test_figures_need_no_torch() -> None:
    """The page of a run uses the figures without importing torch."""
    code = "import sys, headrace.train.record.metrics; print('torch' in sys.modules)"
    seen = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert seen.stdout == "False\n"
