import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.train.record.predictions import FORMAT, NAME, Origin, Predictions

ORIGIN = Origin("val", "0" * 64, "1" * 64, 7, averaged=False, classes=("a", "b", "c"), class_names=("A", "B", "C"))


def some(classes: int = 3, samples: int = 20, seed: int = 0) -> Predictions:
    """Return predictions for samples: random logits, sorted."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(samples, classes)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    order = np.argsort(-chances, kind="stable")[:, :5]
    labels = draw.integers(0, classes, samples)
    names = tuple(f"c{one}" for one in range(classes))
    return Predictions(
        replace(ORIGIN, classes=names, class_names=tuple(name.upper() for name in names)),
        ids=np.arange(samples),
        keys=[f"{one:06d}" for one in range(samples)],
        labels=labels,
        losses=-np.log(chances[np.arange(samples), labels]),
        top_labels=order,
        top_probabilities=np.take_along_axis(chances, order, 1).astype(np.float32),
    )


@pytest.mark.parametrize("classes", [1, 3, 5, 12])
def test_file_comes_back(tmp_path: Path, classes: int) -> None:
    """All columns and the origin are read as they were written, also with fewer than five classes."""
    written = some(classes)
    written.write(tmp_path / NAME)
    read = Predictions.read(tmp_path / NAME)
    assert (read.origin, read.keys) == (written.origin, written.keys)
    for name in ("ids", "labels", "losses", "top_labels", "top_probabilities"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    columns = pq.read_schema(tmp_path / NAME).names
    assert columns[:4] == ["id", "key", "label", "loss"]
    assert len(columns) == 4 + 2 * min(classes, 5)


def rewritten(path: Path, about: dict[str, object], table: pa.Table | None = None) -> None:
    """Write the file with other metadata or other columns."""
    table = pq.read_table(path) if table is None else table
    known = json.loads(pq.read_schema(path).metadata[b"headrace"])
    pq.write_table(table.replace_schema_metadata({b"headrace": json.dumps(known | about).encode()}), path)


def test_later_versions_are_not_called_damaged(tmp_path: Path) -> None:
    """A later format, and an unknown field or column, give advice to upgrade."""
    path = tmp_path / NAME
    cases: list[tuple[dict[str, object], str]]
    cases = [({"format": FORMAT + 1}, "the file has format"), ({"recipe": "x"}, "does not know, recipe")]
    for about, words in cases:
        some().write(path)
        rewritten(path, about)
        with pytest.raises(NewerError, match=words):
            Predictions.read(path)
    some().write(path)
    table = pq.read_table(path)
    rewritten(path, {}, table.append_column("weight", pa.array([1.0] * len(table))))
    with pytest.raises(NewerError, match="does not know, weight"):
        Predictions.read(path)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    """A missing or damaged file, another format, or unknown labels give one line that says what to do."""
    path = tmp_path / NAME
    with pytest.raises(UsageError, match="eval --out"):
        Predictions.read(path)
    some().write(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        Predictions.read(path)
    pq.write_table(pa.table({"id": [1]}), path)
    with pytest.raises(DataError, match="not predictions of"):
        Predictions.read(path)
    replace(some(), labels=np.full(20, 3)).write(path)
    with pytest.raises(DataError, match="impossible labels, losses or probabilities"):
        Predictions.read(path)
    some().write(path)
    rewritten(path, {}, pq.read_table(path).drop_columns(["loss"]))
    with pytest.raises(DataError, match="wrong kind: loss"):
        Predictions.read(path)
