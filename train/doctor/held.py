"""Holds the files of some samples in memory, so that their images can be used without reading the storage."""

import numpy as np
from numpy.typing import NDArray

from headrace.shards.shardset import Split


class Held:
    """Some samples of a split, held in memory by id, with the interface of a source of image files (`Encoded`).

    Reading an id that was not added raises KeyError.
    """

    def __init__(self, split: Split) -> None:
        self._split = split
        self._files: dict[int, NDArray[np.uint8]] = {}

    def add(self, ids: NDArray[np.int64]) -> int:
        """Read the samples with these ids into memory; return the total size of their files in bytes."""
        files = self._split.jpegs(ids)
        self._files |= dict(zip(ids.tolist(), files, strict=True))
        return sum(map(len, files))

    @property
    def heights(self) -> NDArray[np.int32]:
        """The heights in pixels of all images of the split."""
        return self._split.heights

    @property
    def widths(self) -> NDArray[np.int32]:
        """The widths in pixels of all images of the split."""
        return self._split.widths

    def __len__(self) -> int:
        return len(self._split)

    def file_sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the sizes in bytes of the files of these samples."""
        return self._split.file_sizes(ids)

    def jpegs(self, ids: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """Return the files of these samples, each as uint8 (bytes,)."""
        return [self._files[sample_id] for sample_id in ids.tolist()]

    def describe(self, sample_id: int) -> str:
        """Return the name of a sample, for messages."""
        return self._split.describe(sample_id)
