"""Writes the index of a subset: the parent's rows, one row group at a time, with new positions, keys and labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.prep.make.subset.copy import Copied
from headrace.shards import index, index_writer
from headrace.shards.manifest import SplitInfo
from headrace.shards.sample import ROW, Rows, key_of

_KEPT = ("size", "width", "height", "crc32", "source_size", "source_crc32")
_READ = (*_KEPT, "sha256", "source")


def write_index(
    root: Path,
    parent: SplitInfo,
    ids: NDArray[np.int64],
    labels: NDArray[np.int64],
    tars: list[Copied],
    folder: Path,
) -> SplitInfo:
    """Write the index of samples with these ascending ids and new labels; return the split's entry for the manifest.

    The folder `root` has the parent's index.
    """
    offsets = np.concatenate([tar.offsets for tar in tars])
    shards = np.repeat(np.arange(len(tars)), [tar.info.samples for tar in tars])
    first = done = 0
    with index_writer.writing(folder / f"{parent.name}.parquet", len(ids)) as written:
        for columns in index.read_groups(root, parent.index, _READ):
            end = first + len(columns["size"])
            last = int(np.searchsorted(ids, end))
            own = {name: column.take(pa.array(ids[done:last] - first)) for name, column in columns.items()}
            rows = _rows(own)
            rows["shard"], rows["offset"], rows["label"] = shards[done:last], offsets[done:last], labels[done:last]
            written.add(rows, [key_of(place) for place in range(done, last)], own["source"].to_pylist())
            first, done = end, last
    return SplitInfo(name=parent.name, samples=len(ids), index=written.info, shards=tuple(tar.info for tar in tars))


def _rows(columns: dict[str, Any]) -> Rows:
    """Return the columns of an Arrow table as rows of an index. The caller must set shard, offset and label."""
    rows = np.zeros(len(columns["size"]), ROW)
    for name in _KEPT:
        rows[name] = columns[name].to_numpy()
    rows["sha256"] = np.frombuffer(b"".join(columns["sha256"].to_pylist()), np.uint8).reshape(-1, 32)
    return rows
