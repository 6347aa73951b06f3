"""Makes tars from some samples of a split: unchanged JPEGs, in the order of their ids, with new keys and labels."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import MEGABYTE, Options
from headrace.prep.make import plan
from headrace.shards import idx, store
from headrace.shards.manifest import Scalar, ShardInfo
from headrace.shards.sample import key_of
from headrace.shards.shardset import Split
from headrace.shards.tar import TarWriter

_TOGETHER = 64  # samples that are read at once


class Copied(NamedTuple):
    """A finished tar: its entry for the manifest, and the offsets in bytes at which its n JPEGs begin, (n,)."""

    info: ShardInfo
    offsets: NDArray[np.int64]


def cuts(sizes: NDArray[np.int32], made: dict[str, Scalar]) -> list[tuple[int, int]]:
    """Return each tar's range of sample indices, (first, last + 1).

    `made` has the parent's options. The samples are divided into tars as prep would divide them with these options.
    """
    usual = Options()
    each, size = made.get("samples_per_shard"), made.get("shard_size")
    count = plan.shard_count(
        len(sizes),
        plan.tar_bytes(sizes.astype(np.int64)),
        samples_per_shard=each if type(each) is int and each > 0 else None,
        shard_bytes=(size if type(size) is int and size > 0 else usual.shard_size) * MEGABYTE,
    )
    return plan.cuts(len(sizes), count)


def copy_samples(
    split: Split,
    ids: NDArray[np.int64],
    labels: NDArray[np.int64],
    made: dict[str, Scalar],
    folder: Path,
    *,
    threads: int,
    tell: Callable[[int], None],
) -> list[Copied]:
    """Write to `folder` the tars and .idx of the samples with these ascending ids and new labels, (n,) each.

    `tell` is called with the number of samples of each finished tar. Raises DataError if a JPEG has a wrong CRC-32.
    """
    if split.staged is not None:
        threads = 1  # the parent's tars are fetched in the order of the samples
        split.read_in_order(int(ids[0]), int(ids[-1]) + 1)
    copied = []
    pool = ThreadPoolExecutor(threads)
    try:
        work = partial(_copy, split, ids, labels, folder)
        for one in pool.map(work, *zip(*enumerate(cuts(split.file_sizes(ids), made)), strict=True)):
            copied.append(one)
            tell(one.info.samples)
    finally:
        pool.shutdown(cancel_futures=True)
    return copied


def _copy(
    split: Split,
    ids: NDArray[np.int64],
    labels: NDArray[np.int64],
    folder: Path,
    number: int,
    between: tuple[int, int],
) -> Copied:
    """Write one tar with its .idx, for the samples `ids[first:last]`; `between` is (first, last)."""
    name, offsets, lines = plan.shard_name(split.name, number), list[int](), list[str]()
    with store.replacing(folder / f"{name}.tar") as stream:
        writer = TarWriter(stream)
        for first in range(*between, _TOGETHER):
            last = min(first + _TOGETHER, between[1])
            jpegs = split.jpegs(ids[first:last])
            for place, jpeg, label in zip(range(first, last), jpegs, labels[first:last].tolist(), strict=True):
                key = key_of(place)
                offsets.append(writer.add(key, jpeg.tobytes(), label))
                lines.append(idx.sample_line(key, offsets[-1], len(jpeg), label))
        sha256 = writer.close()
    store.write_bytes(folder / f"{name}.idx", idx.render(lines))
    info = ShardInfo(name=f"{name}.tar", samples=len(offsets), bytes=writer.position, sha256=sha256)
    return Copied(info, np.array(offsets, np.int64))


def bytes_needed(sizes: Sequence[NDArray[np.int32]]) -> int:
    """Return the approximate number of bytes that a subset takes on the disk.

    `sizes` has an array of JPEG sizes for each split.
    """
    return sum(plan.tar_bytes(own.astype(np.int64)) + 256 * len(own) for own in sizes)
