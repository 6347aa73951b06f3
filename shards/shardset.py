"""Reading a shard set: its classes, and the JPEG bytes of any samples by their ids."""

import hashlib
import os
import stat
import weakref
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from headrace.shards import index, regular, remedy
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import Manifest, ShardInfo, SplitInfo, load
from headrace.shards.open_files import LimitError, too_many_tars
from headrace.shards.picture import Picture

_COLUMNS = ("shard", "offset", "size", "label", "width", "height", "crc32")


class ShardSet:
    """A finished shard set. Opening checks the manifest and the size of every tar, and reads no tar."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self.digest = manifest.digest
        self.class_ids = tuple(one.id for one in manifest.classes)
        self.class_names = tuple(one.name for one in manifest.classes)

    @classmethod
    def open(cls, root: Path | str) -> "ShardSet":
        """Open the set in folder `root`. Raises UsageError if it is not there, DataError if it is damaged."""
        root = Path(root)
        manifest = load(root)
        for split in manifest.splits:
            for shard in split.shards:
                check_size(root, shard, manifest)
        return cls(root, manifest)

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits, in the manifest's order."""
        return tuple(split.name for split in self.manifest.splits)

    def __getitem__(self, name: str) -> "Split":
        """The split of this name, opened: `shards["val"]`. Raises UsageError if there is none."""
        return self.split(name)

    def __iter__(self) -> Iterator[str]:
        """Names of the splits, as a dictionary has its keys."""
        return iter(self.split_names)

    def __len__(self) -> int:
        """Number of splits."""
        return len(self.split_names)

    def split(self, name: str) -> "Split":
        """Open one split for reading. Raises UsageError if there is none of this name."""
        return Split(self.root, self._info(name), self.manifest)

    def median_side(self, name: str) -> int:
        """Median of the shorter sides of a split's images, pixels; the smaller of two in the middle, 0 without images.

        Reads no tar. Raises UsageError if there is no such split, DataError if its index is damaged.
        """
        info = self._info(name)
        columns = index.read_numbers(self.root, info.index, ("width", "height"))
        sides = np.minimum(columns["width"], columns["height"])
        middle = (len(sides) - 1) // 2
        return int(np.partition(sides, middle)[middle]) if len(sides) else 0

    def _info(self, name: str) -> SplitInfo:
        for split in self.manifest.splits:
            if split.name == name:
                return split
        raise UsageError(f"{self.root}: no split {name!r}; there are: {', '.join(self.split_names)}")


def check_size(root: Path, shard: ShardInfo, manifest: Manifest) -> None:
    """Raise unless the tar is there with the size that the manifest gives."""
    try:
        seen = (root / shard.name).stat()
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


class Places(NamedTuple):
    """Where n samples lie: a file, and their bytes in it, with the CRC-32 that they were written with."""

    descriptors: NDArray[np.int64]  # (n,)
    offsets: NDArray[np.int64]  # (n,)
    sizes: NDArray[np.int32]  # (n,), bytes
    crcs: NDArray[np.uint32]  # (n,)


class Split:
    """One split: number columns with a row for each sample, and the samples' bytes."""

    def __init__(self, root: Path, info: SplitInfo, manifest: Manifest) -> None:
        self.name = info.name
        self._root = root
        self._manifest = manifest
        self._info = info
        columns = index.read_numbers(root, info.index, _COLUMNS)
        self.labels: NDArray[np.int64] = columns["label"].astype(np.int64)
        self.widths: NDArray[np.int32] = columns["width"]
        self.heights: NDArray[np.int32] = columns["height"]
        self.shard_of: NDArray[np.int32] = columns["shard"]
        self._offsets, self._sizes, self._crcs = columns["offset"], columns["size"], columns["crc32"]
        self._check(len(manifest.classes))
        descriptors = _open_all(root, info, manifest)
        self._descriptors = np.array(descriptors, np.int64)
        self._close = weakref.finalize(self, _close_all, descriptors)

    def _check(self, classes: int) -> None:
        """Rows agree with the manifest, so that no read can leave its tar and no label its list."""
        path = self._root / self._info.index.name
        if len(self.labels) != self._info.samples:
            raise DataError(
                f"{path}: {len(self.labels):,} rows, the manifest says {self._info.samples:,}. "
                f"{remedy.of_indexes(self._root)}"
            )
        if not len(self.labels):
            return
        within = (self.shard_of >= 0) & (self.shard_of < len(self._info.shards))
        sizes = np.array([shard.bytes for shard in self._info.shards])
        within &= (self._offsets >= 0) & (self._sizes > 0) & (self.widths > 0) & (self.heights > 0)
        within[within] &= (self._offsets + self._sizes <= sizes[np.where(within, self.shard_of, 0)])[within]
        if not within.all() or self.labels.min() < 0 or self.labels.max() >= classes:
            raise DataError(
                f"{path}: a row points outside its tar or its class list, or has no pixels. "
                f"{remedy.of_indexes(self._root)}"
            )
        if not np.array_equal(self.shard_of, np.repeat(np.arange(len(sizes)), self.shard_sizes)):
            raise DataError(f"{path}: its rows are not in the order of the tars. {remedy.of_indexes(self._root)}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, sample: int | str) -> Picture:
        """One sample, by its id or its key. Raises IndexError or KeyError where there is none."""
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
        """The JPEG files of these samples, each checked against its CRC-32 (about 3 microseconds a sample)."""
        pread, frombuffer, uint8 = os.pread, np.frombuffer, np.uint8
        images: list[NDArray[np.uint8]] = []
        columns = (column.tolist() for column in self.places(ids))
        for descriptor, offset, size, expected in zip(*columns, strict=True):
            data = pread(descriptor, size, offset)
            if crc32(data) != expected:
                raise self._damaged(int(ids[len(images)]), len(data))
            images.append(frombuffer(data, uint8))
        return images

    def file_sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """The bytes of these samples' JPEG files."""
        return self._sizes[ids]

    def places(self, ids: NDArray[np.int64]) -> Places:
        """Where these samples lie."""
        columns = (self._offsets[ids], self._sizes[ids], self._crcs[ids])
        return Places(self._descriptors[self.shard_of[ids]], *columns)

    def _damaged(self, sample_id: int, seen: int) -> DataError:
        expected = int(self._sizes[sample_id])
        what = (
            f"{seen:,} bytes read of {expected:,}"
            if seen != expected
            else "the bytes are not those that were written (CRC-32)"
        )
        return DataError(
            f"{self._root / self.describe(sample_id)}: {what}: the tar changed or the disk is failing. "
            f"See all damage, and what to do about it, with `headrace verify {self._root}`"
        )

    def describe(self, sample_id: int) -> str:
        """Shard, key and source path of a sample, for messages."""
        names = self._names
        shard = self._info.shards[int(self.shard_of[sample_id])].name
        return f"{shard}, key {names['key'][sample_id]} (source {names['source'][sample_id]})"

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return index.read_texts(self._root, self._info.index, ("key", "source"))

    @property
    def keys(self) -> list[str]:
        """The key of each sample."""
        return self._names["key"]

    @property
    def sources(self) -> list[str]:
        """The path of each sample inside its source."""
        return self._names["source"]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what each row says of its image, in order: which images these are, and how large."""
        columns = (self._crcs, self._sizes, self.widths, self.heights)
        return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """Samples in each tar, in the order of their ids."""
        return tuple(shard.samples for shard in self._info.shards)

    def close(self) -> None:
        """Close the tars, as happens too when nobody holds the split any more. Reading afterwards is an error."""
        self._close()
        self._descriptors = np.empty(0, np.int64)


def _open_all(root: Path, info: SplitInfo, manifest: Manifest) -> list[int]:
    """A descriptor for each tar, whose size is checked on the open file itself."""
    descriptors: list[int] = []
    try:
        for shard in info.shards:
            descriptors.append(regular.descriptor(root / shard.name))
            _compare_size(root, shard, manifest, os.fstat(descriptors[-1]).st_size)
    except (OSError, DataError, LimitError) as error:
        _close_all(descriptors)
        if isinstance(error, OSError):
            raise _bad_tar(root, info.shards[len(descriptors)], manifest, error.strerror) from error
        if isinstance(error, LimitError):
            raise too_many_tars(len(info.shards)) from error
        raise
    return descriptors


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
