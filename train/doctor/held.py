"""Files of some samples, held in memory: the same images without the storage under them."""

import numpy as np
from numpy.typing import NDArray

from headrace.shards.shardset import Split


class Held:
    """Some samples of a split, under its ids. It is an `Encoded`; ids that were not added are a KeyError."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._files: dict[int, NDArray[np.uint8]] = {}

    def add(self, ids: NDArray[np.int64]) -> int:
        """Read these samples and hold them; their bytes."""
        files = self._split.jpegs(ids)
        self._files |= dict(zip(ids.tolist(), files, strict=True))
        return sum(map(len, files))

    @property
    def heights(self) -> NDArray[np.int32]:
        """Of all images of the split, pixels."""
        return self._split.heights

    @property
    def widths(self) -> NDArray[np.int32]:
        """The same."""
        return self._split.widths

    def __len__(self) -> int:
        return len(self._split)

    def file_sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Of the files of these images, bytes."""
        return self._split.file_sizes(ids)

    def jpegs(self, ids: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """The files of these images, uint8 (bytes,) each."""
        return [self._files[sample_id] for sample_id in ids.tolist()]

    def describe(self, sample_id: int) -> str:
        """The name of an image, for messages."""
        return self._split.describe(sample_id)
