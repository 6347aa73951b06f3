"""Reads a shard set: its classes, and the JPEG bytes of any samples by their ids."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from headrace.shards import index, system
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import Manifest, SplitInfo, load
from headrace.shards.mapped import FEWEST, MAPPED
from headrace.shards.picture import Picture
from headrace.shards.remote_set import RemoteSet
from headrace.shards.shard_needs import shards_of
from headrace.shards.stage import Stage
from headrace.shards.staging import StagedTars
from headrace.shards.tars import LocalTars, Tars, check_size
from headrace.shards.texts import Texts
from headrace.shards.urls import Location, Url, location

_TOGETHER = 4  # tars in a window for samples that are read in order


class ShardSet:
    """A finished shard set. Opening it checks the manifest and, in a folder, the size of every tar. No tar is read.

    `where` is the folder or URL of the set; `root` is the folder on this host that contains its manifest and indexes.
    """

    def __init__(self, root: Path, manifest: Manifest, remote: RemoteSet | None = None) -> None:
        self.root = root
        self.where: Location = root if remote is None else remote.url
        self.remote = remote
        self.manifest = manifest
        self.digest = manifest.digest
        self.class_ids = tuple(one.id for one in manifest.classes)
        self.class_names = tuple(one.name for one in manifest.classes)

    @classmethod
    def open(cls, where: Location | str, stage: Stage | None = None) -> "ShardSet":
        """Open the set in a folder or at a URL; for a URL, the manifest and the indexes are fetched.

        `stage` is where this host stores the tars of a set at a URL. By default, it is the folder in the environment
        variable HEADRACE_STAGE_DIR, or else a folder in the user's cache. Raises UsageError if there is no set,
        DataError if the set is damaged.
        """
        root = location(where)
        if isinstance(root, Url):
            remote = RemoteSet.open(root, stage or Stage.of())
            return cls(remote.root, remote.manifest, remote)
        manifest = load(root)
        for split in manifest.splits:
            for shard in split.shards:
                check_size(root, shard, manifest)
        return cls(root, manifest)

    @property
    def name(self) -> str:
        """The last part of the set's path or URL."""
        return self.where.name if isinstance(self.where, Url) else self.where.absolute().name

    @property
    def beside(self) -> Path:
        """The path beside which decoded images of the set may be stored; for a set at a URL, a path on this host."""
        return self.root.absolute() if self.remote is None else self.remote.depot.stage.decoded(self.digest)

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits, in the manifest's order."""
        return tuple(split.name for split in self.manifest.splits)

    def __getitem__(self, name: str) -> "Split":
        """The split of this name, opened: `shards["val"]`. Raises UsageError if there is no such split."""
        return self.split(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the splits, like the keys of a dictionary."""
        return iter(self.split_names)

    def __len__(self) -> int:
        """The number of splits."""
        return len(self.split_names)

    def split(self, name: str) -> "Split":
        """Open one split for reading. Raises UsageError if there is no split with this name."""
        return Split(self.root, self._info(name), self.manifest, self.remote)

    def median_side(self, name: str) -> int:
        """Median of the shorter sides of a split's images in pixels; 0 if the split has no images.

        For an even number of images, the median is the smaller of the two middle sides. Reads no tar. Raises UsageError
        if there is no such split, DataError if its index is damaged.
        """
        info = self._info(name)
        columns = MAPPED.open(self.root, info, self.manifest)
        sides = np.minimum(columns.widths, columns.heights)
        middle = (len(sides) - 1) // 2
        return int(np.partition(sides, middle)[middle]) if len(sides) else 0

    def _info(self, name: str) -> SplitInfo:
        for split in self.manifest.splits:
            if split.name == name:
                return split
        raise UsageError(f"{self.where}: no split {name!r}; the splits are {', '.join(self.split_names)}")


class Places(NamedTuple):
    """The positions of n JPEGs: open tar, first byte and size; and the CRC-32 of each JPEG, from the index."""

    descriptors: NDArray[np.int64]  # (n,), open while `tars` is referenced
    offsets: NDArray[np.int64]  # (n,)
    sizes: NDArray[np.int32]  # (n,), bytes
    crcs: NDArray[np.uint32]  # (n,)
    tars: object


class Split:
    """One split: numeric columns with a row for each sample, and the samples' bytes."""

    def __init__(self, root: Path, info: SplitInfo, manifest: Manifest, remote: RemoteSet | None = None) -> None:
        self.name = info.name
        self._root, self._where = root, root if remote is None else remote.url
        self._manifest = manifest
        self._info = info
        columns = MAPPED.open(root, info, manifest)
        self.labels, self.widths, self.heights = columns.labels, columns.widths, columns.heights
        self._offsets, self._sizes, self._crcs = columns.offsets, columns.sizes, columns.crcs
        self._ends = np.cumsum(self.shard_sizes, dtype=np.int64)
        self.staged: StagedTars | None = None
        """Fetches the tars of a set at a URL; None for a set in a folder."""
        self._tars: Tars
        if remote is None:
            self._tars = LocalTars(root, info, manifest)
        else:
            self._tars = self.staged = remote.tars(info, columns)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, sample: int | str) -> Picture:
        """One sample, by its id or its key. Raises IndexError or KeyError if there is no such sample."""
        if isinstance(sample, str):
            sample = self._ids[sample]
        sample_id = range(len(self))[sample]
        (data,) = self.jpegs(np.array([sample_id]))
        return Picture(self.keys[sample_id], data.tobytes(), int(self.labels[sample_id]))

    def __iter__(self) -> Iterator[Picture]:
        return (self[sample_id] for sample_id in range(len(self)))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {key: sample_id for sample_id, key in enumerate(self.keys)}

    def jpegs(self, ids: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """The JPEG files of these samples, each checked against its CRC-32 (about 3 microseconds per sample)."""
        pread, frombuffer, uint8 = system.pread, np.frombuffer, np.uint8
        images: list[NDArray[np.uint8]] = []
        places = self.places(ids)
        columns = (column.tolist() for column in places[:4])
        for descriptor, offset, size, expected in zip(*columns, strict=True):
            data = pread(descriptor, size, offset)
            if crc32(data) != expected:
                raise self._damaged(int(ids[len(images)]), len(data))
            images.append(frombuffer(data, uint8))
        return images

    def file_sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """The sizes of these samples' JPEG files in bytes."""
        return self._sizes[ids]

    def places(self, ids: NDArray[np.int64]) -> Places:
        """The positions of these samples. Waits for tars that are being fetched."""
        shards = self._shards_of(ids)
        self._tars.want(shards)
        descriptors, tars = self._tars.descriptors(shards)
        return Places(descriptors, self._offsets[ids], self._sizes[ids], self._crcs[ids], tars)

    def read_in_order(self, first: int, last: int) -> None:
        """Announce that samples `first` to `last` (excluded) are read next, so that tars at a URL are fetched ahead."""
        if self.staged is not None and first < last:
            tars = shards_of(self.shard_sizes, first, last)
            together = [tars[place : place + _TOGETHER] for place in range(0, len(tars), _TOGETHER)]
            self.keep_open(2 * _TOGETHER)  # an open tar stays staged
            self.staged.plan(iter(together), _TOGETHER * max(self.tar_bytes))

    def keep_open(self, tars: int) -> None:
        """Keep at most `tars` tars open; without effect on a split that opened all its tars at the start."""
        self._tars.keep(tars)

    @property
    def shard_of(self) -> NDArray[np.int64]:
        """The index of the tar of each sample, (n,)."""
        return np.repeat(np.arange(len(self._ends)), self.shard_sizes)

    def _shards_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._ends, ids, side="right")

    def _damaged(self, sample_id: int, seen: int) -> DataError:
        expected = int(self._sizes[sample_id])
        what = (
            f"{seen:,} bytes read of {expected:,}"
            if seen != expected
            else "the bytes have changed since they were written (CRC-32)"
        )
        return DataError(
            f"{self._where}/{self.describe(sample_id)}: {what}: the tar changed or the disk is failing. "
            f"`headrace {self._verify}` lists all damage, and what to do about it"
        )

    @property
    def _verify(self) -> str:
        return f"verify {self._where}" if self.staged is None else "cache verify"

    def describe(self, sample_id: int) -> str:
        """Shard, key and source path of a sample, for messages."""
        shard = self._info.shards[int(self._shards_of(np.array([sample_id]))[0])].name
        return f"{shard}, key {self.keys[sample_id]} (source {self.sources[sample_id]})"

    @property
    def keys(self) -> Sequence[str]:
        """The key of each sample."""
        return self._texts[0]

    @property
    def sources(self) -> Sequence[str]:
        """The path of each sample inside its source."""
        return self._texts[1]

    @cached_property
    def _texts(self) -> tuple[Sequence[str], Sequence[str]]:
        if self._info.samples >= FEWEST:
            return Texts(self._root, self._info, "key"), Texts(self._root, self._info, "source")
        texts = index.read_texts(self._root, self._info.index, ("key", "source"))
        return texts["key"], texts["source"]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the CRC-32, file size, width and height of all images, in order."""
        seen = hashlib.sha256()
        columns: tuple[NDArray[Any], ...] = (self._crcs, self._sizes, self.widths, self.heights)
        for column in columns:
            seen.update(column.data)
        return seen.hexdigest()

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """The number of samples in each tar, in order."""
        return tuple(shard.samples for shard in self._info.shards)

    @property
    def tar_bytes(self) -> tuple[int, ...]:
        """The size of each tar in bytes."""
        return tuple(shard.bytes for shard in self._info.shards)

    def close(self) -> None:
        """Close the tars; this also happens at garbage collection. Reading afterwards is an error."""
        self._tars.close()
