"""The number columns of a split that training reads, checked row by row against the manifest."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards import index, remedy
from headrace.shards.errors import DataError
from headrace.shards.manifest import Manifest, SplitInfo

_READ = ("shard", "offset", "size", "label", "width", "height", "crc32")


class Columns(NamedTuple):
    """A row for each of n samples, (n,) each; shards need no column, as the rows are in their order."""

    labels: NDArray[np.int64]
    widths: NDArray[np.int32]  # pixels, as the next
    heights: NDArray[np.int32]
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
    """Those of a split, in memory of this process. Raises DataError when the index is damaged or senseless."""
    columns = Columns(**{name: np.empty(split.samples, kind) for name, kind in KINDS.items()})
    fill(columns, root, split, manifest)
    return columns


def fill(columns: Columns, root: Path, split: SplitInfo, manifest: Manifest) -> None:
    """Read the index into arrays of its length, a row group at a time. Raises DataError as `read_columns`."""
    path, first = root / split.index.name, 0
    found = index.Index(root, split.index)
    try:
        if found.rows != split.samples:
            raise DataError(
                f"{path}: {found.rows:,} rows, the manifest says {split.samples:,}. {remedy.of_indexes(root)}"
            )
        rules = _Rules(root, split, len(manifest.classes))
        for number, rows in enumerate(found.group_rows):
            arrays = {name: column.to_numpy() for name, column in found.read(_READ, number).items()}
            rules.check(arrays, first)
            _store(columns, arrays, first, first + rows)
            first += rows
    finally:
        found.close()


def _store(columns: Columns, arrays: dict[str, NDArray[Any]], first: int, last: int) -> None:
    names = ("label", "width", "height", "offset", "size", "crc32")
    targets: tuple[NDArray[Any], ...] = columns
    for column, name in zip(targets, names, strict=True):
        column[first:last] = arrays[name]


class _Rules:
    """Rows agree with the manifest, so that no read can leave its tar and no label its list."""

    def __init__(self, root: Path, split: SplitInfo, classes: int) -> None:
        self._path, self._remedy, self._classes = root / split.index.name, remedy.of_indexes(root), classes
        self._sizes = np.array([shard.bytes for shard in split.shards], np.int64)
        self._ends = np.cumsum([shard.samples for shard in split.shards], dtype=np.int64)

    def check(self, arrays: dict[str, NDArray[Any]], first: int) -> None:
        """Raise DataError for rows, the first of which has this id, that are not as they must be."""
        shard, offsets, sizes, labels = (arrays[name] for name in ("shard", "offset", "size", "label"))
        if not len(shard):
            return
        within = (shard >= 0) & (shard < len(self._sizes))
        within &= (offsets >= 0) & (sizes > 0) & (arrays["width"] > 0) & (arrays["height"] > 0)
        within[within] &= (offsets + sizes <= self._sizes[np.where(within, shard, 0)])[within]
        if not within.all() or labels.min() < 0 or labels.max() >= self._classes:
            raise DataError(
                f"{self._path}: a row points outside its tar or its class list, or has no pixels. {self._remedy}"
            )
        expected = np.searchsorted(self._ends, np.arange(first, first + len(shard)), side="right")
        if not np.array_equal(shard, expected):
            raise DataError(f"{self._path}: its rows are not in the order of the tars. {self._remedy}")
