"""The open tars of a split: all of them from the start or, if there are very many, the most recently read ones."""

import os
import stat
import weakref
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from headrace.shards import regular, remedy
from headrace.shards.errors import DataError
from headrace.shards.manifest import Manifest, ShardInfo, SplitInfo
from headrace.shards.open_files import LimitError, may_be_open, most_tars, too_many_tars


def check_size(root: Path, shard: ShardInfo, manifest: Manifest) -> None:
    """Raise DataError unless the tar exists with the size in the manifest."""
    try:
        seen = os.stat(f"{root}/{shard.name}")  # noqa: PTH116 - half of the time of Path.stat, for 50,000 tars
    except OSError as error:
        raise _bad_tar(root, shard, manifest, error.strerror) from error
    if not stat.S_ISREG(seen.st_mode):
        raise _bad_tar(root, shard, manifest, "not a regular file")
    _compare_size(root, shard, manifest, seen.st_size)


def _compare_size(root: Path, shard: ShardInfo, manifest: Manifest, seen: int) -> None:
    if seen != shard.bytes:
        raise _bad_tar(root, shard, manifest, f"{seen:,} bytes, but the manifest says {shard.bytes:,}")


def _bad_tar(root: Path, shard: ShardInfo, manifest: Manifest, what: str | None) -> DataError:
    return DataError(f"{root / shard.name}: {what}. {remedy.of_tars(root, [shard.name], manifest.made)}")


class OpenTar:
    """A tar that stays open while this object is referenced."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)


class Tars:
    """The open tars of the most recently needed shards of a split. Threads may share this object.

    If more tars are open than `keep` allows, the least recently needed ones are closed.
    """

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._most = most_tars()
        self._open: OrderedDict[int, OpenTar] = OrderedDict()
        self._lock = Lock()
        self._all: NDArray[np.int64] | None = None  # if all are open from the start

    def keep(self, tars: int) -> None:
        """Keep at most `tars` tars open, unless all tars were opened at the start."""
        self._most = min(tars, most_tars())

    def want(self, shards: NDArray[np.int64]) -> None:
        """Wait until the tars of these shards can be opened. Tars in a folder need no wait.

        The caller calls this method for every batch.
        """

    def descriptors(self, shards: NDArray[np.int64]) -> tuple[NDArray[np.int64], object]:
        """A descriptor for each of these shards, and an object that keeps the tars open while it is referenced."""
        if self._all is not None:
            return self._all[shards], None
        wanted, places = np.unique(shards, return_inverse=True)
        with self._lock:
            tars = [self._take(number) for number in wanted.tolist()]
        return np.array([tar.descriptor for tar in tars], np.int64)[places], tars

    def close(self) -> None:
        """Close all tars. A later request for descriptors raises IndexError."""
        with self._lock:
            self._open.clear()
            self._all = np.empty(0, np.int64)

    def _take(self, number: int) -> OpenTar:
        tar = self._open.pop(number, None) or self._opened(number)
        self._open[number] = tar
        while len(self._open) > max(self._most, 1):
            self._open.popitem(last=False)
        return tar

    def _opened(self, number: int) -> OpenTar:
        try:
            return self._open_one(number)
        except LimitError:
            if not self._open:
                raise
            self._open.clear()  # other parts of the process have taken the remaining descriptors
            return self._open_one(number)

    def _open_one(self, number: int) -> OpenTar:
        raise NotImplementedError


class LocalTars(Tars):
    """The tars of a split in a folder; the size of each tar is checked after it is opened.

    If `may_be_open` allows it, all tars are open from the start. Then their bytes stay available even if the files are
    renamed or removed. Otherwise each tar is opened when it is needed.
    """

    def __init__(self, root: Path, split: SplitInfo, manifest: Manifest) -> None:
        super().__init__(len(split.shards))
        self._root, self._split, self._manifest = root, split, manifest
        if may_be_open(len(split.shards)):
            self._all = np.array([tar.descriptor for tar in self._open_all()], np.int64)

    def _open_one(self, number: int) -> OpenTar:
        shard = self._split.shards[number]
        try:
            tar = OpenTar(regular.descriptor(self._root / shard.name))
        except OSError as error:
            raise _bad_tar(self._root, shard, self._manifest, error.strerror) from error
        _compare_size(self._root, shard, self._manifest, os.fstat(tar.descriptor).st_size)
        return tar

    def _open_all(self) -> list[OpenTar]:
        try:
            for number in range(self._shards):
                self._open[number] = self._open_one(number)
        except LimitError as error:
            self._open.clear()
            raise too_many_tars(self._shards) from error
        return list(self._open.values())
