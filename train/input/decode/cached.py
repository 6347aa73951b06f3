"""Pixels from the decoded cache, and what is said where they are not those that were written."""

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
    """When a process checks the strips that it reads."""

    EACH_READ = "each time"
    FIRST_READ = "when they are read for the first time"


class Decoded:
    """Reads the decoded images of a split from its cache, by threads that may be several.

    The file may be cut or changed meanwhile: what is read of it is an error then.
    """

    def __init__(self, file: CacheFile, shards: ShardSet, checking: Checking = Checking.EACH_READ) -> None:
        from headrace.train.input.decode.strips import Strips  # noqa: PLC0415  a run on a GPU without a cache needs no compiler of loops

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

    def resample(self, ids: NDArray[np.int64], views: Views, size: int) -> Tensor:
        """The views of these samples as uint8 (n, size, size, 3), made without the interpreter's lock.

        Raises DataError where the cache is not as it was written, naming the sample.
        """
        return self._strips.resample(ids, views, size)

    def read(self, ids: NDArray[np.int64], regions: Regions) -> tuple[Images, Regions]:
        """Rows of these samples that include the regions, and which part of the images these rows are.

        Raises DataError as `resample`.
        """
        return self._strips.read(ids, regions)

    def _unsound(self, sample_id: int) -> DataError:
        """What is wrong with the cache, which goes away with it: the next run makes another from the shards."""
        path, split = self._file.path, self._shards.split(self._file.split)
        what, remedy = self._fault(sample_id), self._remove()
        sample = split.describe(sample_id)
        split.close()
        return DataError(f"{path}: the decoded pixels of {sample}: {what}. {remedy}")

    def _fault(self, sample_id: int) -> str:
        """What one sees of it."""
        first, last = self._file.starts[sample_id : sample_id + 2].tolist()
        try:
            seen = os.fstat(self._descriptor).st_size
            os.pread(self._descriptor, last - first, first)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        if seen < self._file.size:
            return f"the file has {seen:,} bytes instead of {self._file.size:,}: it was cut while the run read it"
        return "are not those that were written (checksum): the file changed or the disk is failing"

    def _remove(self) -> str:
        """Remove the cache, unless another run has made it again already; what to do next."""
        path = self._file.path
        try:
            if path.stat().st_ino == os.fstat(self._descriptor).st_ino:
                path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            return f"Remove this file, which this run may not ({error.strerror}), and start again: it is made again"
        return "This cache was removed: start again, and it is made again"


def _opened(file: CacheFile) -> tuple[int, NDArray[np.uint64]]:
    """A descriptor of the cache, and its checksums. Raises DataError where it is not the one that is wanted."""
    try:
        with file.path.open("rb") as stream:
            header, seen = stream.read(HEADER), os.fstat(stream.fileno()).st_size
            stream.seek(int(file.starts[-1]))
            sums = stream.read()
            if header != file.header or int(file.starts[-1]) + len(sums) != file.size:
                raise DataError(
                    f"{file.path}: not the cache that this run wants, or {seen:,} bytes instead of {file.size:,}. "
                    "Start again: the next run makes it again"
                )
            return os.dup(stream.fileno()), np.frombuffer(sums, "<u8").astype(np.uint64)
    except OSError as error:
        refuse_limit(error)
        raise DataError(f"{file.path}: {error.strerror}. Start again: a cache that is gone is made again") from error
