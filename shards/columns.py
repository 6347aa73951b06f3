"""Reads the numeric columns of a split's index for training, and checks each row against the manifest."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards import index, remedy
from headrace.shards.errors import DataError
from headrace.shards.manifest import Manifest, SplitInfo

_READ = ("shard", "offset", "size", "label", "width", "height", "crc32")


class Columns(NamedTuple):
    """The columns of n consecutive samples, in the order of their ids: one array (n,) for each column."""

    labels: NDArray[np.int64]
    widths: NDArray[np.int32]  # pixels
    heights: NDArray[np.int32]  # pixels
    offsets: NDArray[np.int64]  # first byte in the tar
    sizes: NDArray[np.int32]  # bytes
    crcs: NDArray[np.uint32]


KINDS: dict[str, np.dtype[Any]] = {
    "labels": np.dtype(np.int64),
    "widths": np.dtype(np.int32),
    "heights": np.dtype(np.int32),
    "offsets": np.dtype(np.int64),
    "sizes": np.dtype(np.int32),
    "crcs": np.dtype(np.uint32),
}


def read_columns(root: Path, split: SplitInfo, manifest: Manifest) -> Columns:
    """The columns of a whole split, copied to memory.

    Raises DataError if the index is damaged or does not match the manifest.
    """
    columns = Columns(**{name: np.empty(split.samples, kind) for name, kind in KINDS.items()})
    for first, part in column_parts(root, split, manifest):
        for column, values in zip(_arrays(columns), _arrays(part), strict=True):
            column[first : first + len(values)] = values
    return columns


def column_parts(root: Path, split: SplitInfo, manifest: Manifest) -> Iterator[tuple[int, Columns]]:
    """Yield the columns in blocks of rows, each with the id of its first row. Raises DataError like `read_columns`."""
    with closing(index.Index(root, split.index)) as found:
        yield from columns_in(found, root, split, manifest)


def columns_in(found: index.Index, root: Path, split: SplitInfo, manifest: Manifest) -> Iterator[tuple[int, Columns]]:
    """Like `column_parts`, for the open index `found`. At most 65,536 rows are in memory at a time."""
    if found.rows != split.samples:
        raise DataError(
            f"{found.path}: the index has {found.rows:,} rows, but the manifest says {split.samples:,}. "
            f"{remedy.of_indexes(root)}"
        )
    rules, first = _Rules(root, split, len(manifest.classes)), 0
    for batch in found.batches(_READ):
        arrays = {name: column.to_numpy() for name, column in batch.items()}
        rules.check(arrays, first)
        values = (arrays[name] for name in ("label", "width", "height", "offset", "size", "crc32"))
        yield first, Columns(*(one.astype(kind, copy=False) for one, kind in zip(values, KINDS.values(), strict=True)))
        first += len(arrays["label"])


def _arrays(columns: Columns) -> tuple[NDArray[Any], ...]:
    return columns


class _Rules:
    """Checks rows against the manifest: each image must be inside its tar, and each label in the class list."""

    def __init__(self, root: Path, split: SplitInfo, classes: int) -> None:
        self._path, self._remedy, self._classes = root / split.index.name, remedy.of_indexes(root), classes
        self._sizes = np.array([shard.bytes for shard in split.shards], np.int64)
        self._ends = np.cumsum([shard.samples for shard in split.shards], dtype=np.int64)

    def check(self, arrays: dict[str, NDArray[Any]], first: int) -> None:
        """Raise DataError if a row in `arrays` is invalid; `first` is the id of the first row."""
        shard, labels = arrays["shard"], arrays["label"]
        if not len(shard):
            return
        counts = np.diff(self._ends.clip(first, first + len(shard)), prepend=first)
        in_order = np.array_equal(shard, np.repeat(np.arange(len(counts)), counts))
        known = in_order or (shard.min() >= 0 and shard.max() < len(self._sizes))
        if not known or labels.min() < 0 or labels.max() >= self._classes or self._any_outside(arrays):
            raise DataError(
                f"{self._path}: a row has an image outside its tar or without pixels, or a label outside the class "
                f"list. {self._remedy}"
            )
        if not in_order:
            raise DataError(f"{self._path}: its rows are not in the order of the tars. {self._remedy}")

    def _any_outside(self, arrays: dict[str, NDArray[Any]]) -> bool:
        offsets, sizes = arrays["offset"], arrays["size"]
        smallest = min(arrays[name].min() for name in ("size", "width", "height"))
        outside = offsets > self._sizes[arrays["shard"]] - sizes  # a difference, because a sum might overflow
        return bool(smallest <= 0 or offsets.min() < 0 or outside.any())
