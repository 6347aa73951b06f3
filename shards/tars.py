"""The open tars of a split: all of them from the start, or of very many those that were read last."""

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
    """Raise unless the tar is there with the size that the manifest gives."""
    try:
        seen = os.stat(f"{root}/{shard.name}")  # noqa: PTH116 - half of a Path's time, of 50,000 tars
    except OSError as error:
        raise _bad_tar(root, shard, manifest, error.strerror) from error
    if not stat.S_ISREG(seen.st_mode):
        raise _bad_tar(root, shard, manifest, "not a regular file")
    _compare_size(root, shard, manifest, seen.st_size)


def _compare_size(root: Path, shard: ShardInfo, manifest: Manifest, seen: int) -> None:
    if seen != shard.bytes:
        raise _bad_tar(root, shard, manifest, f"{seen:,} bytes, the manifest says {shard.bytes:,}")


def _bad_tar(root: Path, shard: ShardInfo, manifest: Manifest, what: str | None) -> DataError:
    return DataError(f"{root / shard.name}: {what}. {remedy.of_tars(root, [shard.name], manifest.made)}")


class OpenTar:
    """A tar that is open for as long as somebody holds this. Its size is checked on the open file itself."""

    def __init__(self, root: Path, shard: ShardInfo, manifest: Manifest) -> None:
        try:
            self.descriptor = regular.descriptor(root / shard.name)
        except OSError as error:
            raise _bad_tar(root, shard, manifest, error.strerror) from error
        weakref.finalize(self, os.close, self.descriptor)
        _compare_size(root, shard, manifest, os.fstat(self.descriptor).st_size)


class Tars:
    """Descriptors by shard. Threads may share it.

    Those of a split that has no more than `may_be_open` are all open from the start, so that the bytes stay whatever
    happens to the files' names. Of a split that has more, tars are opened when they are needed, and beyond a number
    those that were not needed for longest are let go of; `keep` says beyond which.
    """

    def __init__(self, root: Path, split: SplitInfo, manifest: Manifest) -> None:
        self._root, self._split, self._manifest = root, split, manifest
        self._most = most_tars()
        self._open: OrderedDict[int, OpenTar] = OrderedDict()
        self._lock = Lock()
        self._all: NDArray[np.int64] | None = None
        if may_be_open(len(split.shards)):
            self._all = np.array([tar.descriptor for tar in self._open_all()], np.int64)

    def keep(self, tars: int) -> None:
        """Let at most so many stay open, if not all are."""
        self._most = min(tars, most_tars())

    def descriptors(self, shards: NDArray[np.int64]) -> tuple[NDArray[np.int64], object]:
        """A descriptor for each of these shards, and what must be held for as long as they are read from."""
        if self._all is not None:
            return self._all[shards], None
        wanted, places = np.unique(shards, return_inverse=True)
        with self._lock:
            tars = [self._take(number) for number in wanted.tolist()]
        return np.array([tar.descriptor for tar in tars], np.int64)[places], tars

    def close(self) -> None:
        """Close all. Asking for descriptors afterwards is an IndexError."""
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
        shard = self._split.shards[number]
        try:
            return OpenTar(self._root, shard, self._manifest)
        except LimitError:
            if not self._open:
                raise
            self._open.clear()  # others of the process need files too
            return OpenTar(self._root, shard, self._manifest)

    def _open_all(self) -> list[OpenTar]:
        try:
            for number, shard in enumerate(self._split.shards):
                self._open[number] = OpenTar(self._root, shard, self._manifest)
        except LimitError as error:
            self._open.clear()
            raise too_many_tars(len(self._split.shards)) from error
        return list(self._open.values())
