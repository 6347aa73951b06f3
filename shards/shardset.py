"""Reading a shard set: its classes, and the JPEG bytes of any samples by their ids."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from headrace.shards import index
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import Manifest, SplitInfo, load
from headrace.shards.mapped import FEWEST, MAPPED
from headrace.shards.picture import Picture
from headrace.shards.tars import Tars, check_size
from headrace.shards.texts import Texts


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
        columns = MAPPED.open(self.root, info, self.manifest)
        sides = np.minimum(columns.widths, columns.heights)
        middle = (len(sides) - 1) // 2
        return int(np.partition(sides, middle)[middle]) if len(sides) else 0

    def _info(self, name: str) -> SplitInfo:
        for split in self.manifest.splits:
            if split.name == name:
                return split
        raise UsageError(f"{self.root}: no split {name!r}; there are: {', '.join(self.split_names)}")


class Places(NamedTuple):
    """Where n samples lie: a file, and their bytes in it, with the CRC-32 that they were written with."""

    descriptors: NDArray[np.int64]  # (n,), open for as long as somebody holds `tars`
    offsets: NDArray[np.int64]  # (n,)
    sizes: NDArray[np.int32]  # (n,), bytes
    crcs: NDArray[np.uint32]  # (n,)
    tars: object


class Split:
    """One split: number columns with a row for each sample, and the samples' bytes."""

    def __init__(self, root: Path, info: SplitInfo, manifest: Manifest) -> None:
        self.name = info.name
        self._root = root
        self._manifest = manifest
        self._info = info
        columns = MAPPED.open(root, info, manifest)
        self.labels, self.widths, self.heights = columns.labels, columns.widths, columns.heights
        self._offsets, self._sizes, self._crcs = columns.offsets, columns.sizes, columns.crcs
        self._ends = np.cumsum(self.shard_sizes, dtype=np.int64)
        self._tars = Tars(root, info, manifest)

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
        places = self.places(ids)
        columns = (column.tolist() for column in places[:4])
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
        descriptors, tars = self._tars.descriptors(self._shards_of(ids))
        return Places(descriptors, self._offsets[ids], self._sizes[ids], self._crcs[ids], tars)

    def keep_open(self, tars: int) -> None:
        """Hold at most so many tars open, if the split has so many that they are opened when they are needed."""
        self._tars.keep(tars)

    @property
    def shard_of(self) -> NDArray[np.int64]:
        """The number of the tar of each sample, (n,)."""
        return np.repeat(np.arange(len(self._ends)), self.shard_sizes)

    def _shards_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._ends, ids, side="right")

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
        """SHA-256 over what each row says of its image, in order: which images these are, and how large."""
        seen = hashlib.sha256()
        columns: tuple[NDArray[Any], ...] = (self._crcs, self._sizes, self.widths, self.heights)
        for column in columns:
            seen.update(column.data)
        return seen.hexdigest()

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """Samples in each tar, in the order of their ids."""
        return tuple(shard.samples for shard in self._info.shards)

    def close(self) -> None:
        """Close the tars, as happens too when nobody holds the split any more. Reading afterwards is an error."""
        self._tars.close()
