"""Reads pixels from the decoded cache, and reports pixels that have changed since they were written."""

import os
import weakref
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headrace.shards.errors import DataError
from headrace.shards.open_files import refuse_limit
from headrace.shards.shardset import ShardSet
from headrace.train.input.augment.views import Views
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.cache import HEADER, CacheFile
from headrace.train.input.decode.regions import Regions


class Checking(Enum):
    """Selects when strips (blocks of 16 rows) are compared with their checksums: at each read, or only at the first."""

    EACH_READ = "each time"
    FIRST_READ = "when they are read for the first time"


class Decoded:
    """Reads the decoded images of a split from its cache. Several threads may use an object at once.

    If the file is truncated or changed during the run, reading it raises an error.
    """

    def __init__(self, file: CacheFile, shards: ShardSet, checking: Checking = Checking.EACH_READ) -> None:
        from headrace.train.input.decode.strips import Strips  # noqa: PLC0415  a run on a GPU without a cache needs no numba

        self._file, self._shards = file, shards
        self._descriptor, sums = _opened(file)
        weakref.finalize(self, os.close, self._descriptor)
        self._strips = Strips(
            self._descriptor,
            file.starts[:-1],
            file.widths.astype(np.int64),
            file.heights.astype(np.int64),
            file.strips[:-1],
            sums,
            once=checking is Checking.FIRST_READ,
            explain=self._unsound,
        )

    def resample(self, ids: NDArray[np.int64], views: Views, size: int, *, cubic: bool = False) -> Tensor:
        """Return the views of these samples, cut out and resized, as uint8 (n, size, size, 3).

        The interpreter's lock is not held during the resize. Raises DataError, which names the sample, if the cache has
        changed since it was written.
        """
        return self._strips.resample(ids, views, size, cubic=cubic)

    def read(self, ids: NDArray[np.int64], regions: Regions) -> tuple[Images, Regions]:
        """Return, for each image, a band of rows that contains the given region, and the position of the band.

        Raises DataError in the same cases as `resample`.
        """
        return self._strips.read(ids, regions)

    def _unsound(self, sample_id: int) -> DataError:
        """Remove the cache, in which the pixels of this sample are damaged, and return the error for the user.

        The next run makes the cache again from the shards.
        """
        path, split = self._file.path, self._shards.split(self._file.split)
        what, remedy = self._fault(sample_id), self._remove()
        sample = split.describe(sample_id)
        split.close()
        return DataError(f"{path}: the decoded pixels of {sample} {what}. {remedy}")

    def _fault(self, sample_id: int) -> str:
        """Return what is wrong with the cached pixels of a sample, worded as the end of a sentence."""
        first, last = self._file.starts[sample_id : sample_id + 2].tolist()
        try:
            seen = os.fstat(self._descriptor).st_size
            os.pread(self._descriptor, last - first, first)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        if seen < self._file.size:
            return f"may be missing: the file was truncated during the run to {seen:,} of {self._file.size:,} bytes"
        return "do not match their checksum: the file changed or the disk is failing"

    def _remove(self) -> str:
        """Remove the damaged cache file, unless another run has already replaced it by a new one.

        Return the last sentences of the error: what happened to the file, and what the user must do next.
        """
        path = self._file.path
        try:
            if path.stat().st_ino == os.fstat(self._descriptor).st_ino:
                path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            return f"This run may not remove the file ({error.strerror}). Remove it, and start again to rebuild it"
        return "The cache was removed. Start again to rebuild it"


def _opened(file: CacheFile) -> tuple[int, NDArray[np.uint64]]:
    """Open the cache file, and return its descriptor and its checksums.

    Raises DataError if the file is not the expected cache.
    """
    try:
        with file.path.open("rb") as stream:
            header, seen = stream.read(HEADER), os.fstat(stream.fileno()).st_size
            stream.seek(int(file.starts[-1]))
            sums = stream.read()
            if header != file.header or int(file.starts[-1]) + len(sums) != file.size:
                raise DataError(
                    f"{file.path}: this file is not the decoded cache of this shard set, or is damaged: expected "
                    f"{file.size:,} bytes, found {seen:,} bytes. Start again: the next run rebuilds the cache"
                )
            return os.dup(stream.fileno()), np.frombuffer(sums, "<u8").astype(np.uint64)
    except OSError as error:
        refuse_limit(error)
        raise DataError(
            f"{file.path}: the decoded cache cannot be read: {error.strerror}. Remove the file if it "
            "exists, and start again to rebuild it"
        ) from error
