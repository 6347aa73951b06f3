"""Reads and writes `validation.parquet`, a network's predictions for each sample of a split, without torch.

The file has one row for each sample, with the columns id, key, label and loss. The columns label_1 to label_5 and
probability_1 to probability_5 hold the predicted labels and their probabilities, the most likely label first. With
fewer than five classes there are fewer columns of labels and probabilities.
"""

import io
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headrace.shards import regular, store
from headrace.shards.errors import DataError, NewerError, UsageError

FORMAT = 1
NAME = "validation.parquet"
TOP = 5
"""The number of labels that are kept for each sample; with fewer classes, all labels are kept."""
_META = b"headrace"
_FIRST = {"id": pa.int64(), "key": pa.string(), "label": pa.int64(), "loss": pa.float64()}


@dataclass(frozen=True)
class Origin:
    """The origin of predictions: the evaluated checkpoint, and the split that it was evaluated on."""

    split: str
    shard_set: str  # its digest
    checkpoint: str  # SHA-256 of the file, in hex
    step: int
    averaged: bool  # whether these are the averaged weights
    classes: tuple[str, ...]  # ids, in the order of the labels
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Predictions:
    """The predictions for n samples as columns, with the k most likely labels of each sample."""

    origin: Origin
    ids: NDArray[np.int64]  # (n,)
    keys: list[str]
    labels: NDArray[np.int64]  # (n,)
    losses: NDArray[np.float64]  # (n,), cross-entropy
    top_labels: NDArray[np.int64]  # (n, k), the most likely first
    top_probabilities: NDArray[np.float32]  # (n, k)

    def write(self, path: Path) -> None:
        """Write the predictions to a Parquet file, atomically."""
        columns: dict[str, Any] = {"id": self.ids, "key": self.keys, "label": self.labels, "loss": self.losses}
        for place in range(self.top_labels.shape[1]):
            columns[f"label_{place + 1}"] = np.ascontiguousarray(self.top_labels[:, place])
            columns[f"probability_{place + 1}"] = np.ascontiguousarray(self.top_probabilities[:, place])
        kinds = _columns(self.top_labels.shape[1])
        table = pa.table({name: pa.array(column, kinds[name]) for name, column in columns.items()})
        about = json.dumps({"format": FORMAT, **asdict(self.origin)})
        out = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({_META: about.encode()}), out, compression="zstd")
        store.write_bytes(path, out.getvalue())

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Read the predictions from a file.

        Raises UsageError if the file cannot be read, DataError if the file is damaged or of another kind, and
        NewerError if a newer Headrace wrote the file.
        """
        try:
            data = regular.read(path)
        except OSError as error:
            raise UsageError(
                f"{path}: the file cannot be read ({error.strerror}). `headrace eval --out` writes such a file"
            ) from error
        try:
            with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
                table = file.read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a readable Parquet file ({error}). {_AGAIN}") from error
        origin = _origin(table.schema.metadata or {}, path)
        top = min(TOP, len(origin.classes))
        _check_columns(table, top, path)
        column = {name: table.column(name).to_numpy() for name in table.column_names if name != "key"}
        made = cls(
            origin,
            column["id"],
            table.column("key").to_pylist(),
            column["label"],
            column["loss"],
            np.stack([column[f"label_{place + 1}"] for place in range(top)], 1),
            np.stack([column[f"probability_{place + 1}"] for place in range(top)], 1),
        )
        if not made._possible():
            raise DataError(f"{path}: the file has impossible labels, losses or probabilities. {_AGAIN}")
        return made

    def _possible(self) -> bool:
        """Return whether all labels are valid class numbers, all losses finite, and all probabilities from 0 to 1."""
        classes = len(self.origin.classes)
        labels = all(bool(((part >= 0) & (part < classes)).all()) for part in (self.labels, self.top_labels))
        chances = bool(((self.top_probabilities >= 0) & (self.top_probabilities <= 1)).all())
        return labels and chances and bool(np.isfinite(self.losses).all())


_AGAIN = "`headrace eval --out` writes the file again"


def _columns(top: int) -> dict[str, pa.DataType]:
    """Return the names and types of the columns in a file with `top` labels for each sample."""
    kinds = dict(_FIRST)
    for place in range(1, top + 1):
        kinds |= {f"label_{place}": pa.int64(), f"probability_{place}": pa.float32()}
    return kinds


def _origin(metadata: dict[bytes, bytes], path: Path) -> Origin:
    """Return the origin of the predictions from the file's metadata.

    Raises DataError if the metadata does not describe predictions, NewerError if a newer Headrace wrote the file.
    """
    try:
        about = json.loads(metadata[_META])
        version, names = about.pop("format"), (about["classes"], about["class_names"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not predictions of `headrace eval` ({error!r}). {_AGAIN}") from error
    if type(version) is int and version > FORMAT:
        raise NewerError.of(
            path, f"the file has format {version}, but this version of Headrace reads formats up to {FORMAT}"
        )
    known = {field.name for field in fields(Origin)}
    if known < about.keys():
        raise NewerError.of(
            path, f"the file has a field that this version of Headrace does not know, {min(about.keys() - known)}"
        )
    lists = all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in names)
    if version != FORMAT or known != about.keys() or not lists or not 0 < len(names[0]) == len(names[1]):
        raise DataError(
            f"{path}: not predictions of `headrace eval`: a metadata field is missing or of the wrong kind. {_AGAIN}"
        )
    return Origin(**{**about, "classes": tuple(names[0]), "class_names": tuple(names[1])})


def _check_columns(table: pa.Table, top: int, path: Path) -> None:
    """Raise NewerError if the table has an unknown column, DataError if a column is missing or of the wrong kind."""
    kinds = _columns(top)
    found = dict(zip(table.column_names, table.schema.types, strict=True))
    if kinds.keys() < found.keys():
        raise NewerError.of(
            path, f"the file has a column that this version of Headrace does not know, {min(found.keys() - kinds)}"
        )
    wrong = [name for name, kind in kinds.items() if found.get(name) != kind or table.column(name).null_count]
    if wrong:
        raise DataError(f"{path}: columns are missing or of the wrong kind: {', '.join(wrong)}. {_AGAIN}")
