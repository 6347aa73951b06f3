"""Shard sets without images: tars of the right size with nothing in them, and indexes with made-up numbers."""

from pathlib import Path

import numpy as np

from headrace.shards.index_writer import writing
from headrace.shards.manifest import NAME, ClassInfo, Manifest, ShardInfo, SourceInfo, SplitInfo
from headrace.shards.sample import ROW, Rows, key_of

SIZE = 3000  # bytes of an image
CLASSES = 100


def made_set(root: Path, samples: int, each: int = 100_000, side: int = 64) -> Path:
    """A set with one split, `train`, of so many samples, `each` in a shard; its tars are holes."""
    root.mkdir(parents=True)
    counts = [min(each, samples - first) for first in range(0, samples, each)]
    with writing(root / "train.parquet", samples) as index:
        first = 0
        for number, count in enumerate(counts):
            ids = range(first, first + count)
            keys = [key_of(one) for one in ids]
            index.add(rows_of_shard(number, first, count, side), keys, [f"train/{key}.JPEG" for key in keys])
            first += count
    shards = tuple(_tar(root, number, count) for number, count in enumerate(counts))
    split = SplitInfo(name="train", samples=samples, index=index.info, shards=shards)
    classes = tuple(ClassInfo(id=f"n{number:04d}", name=f"class {number}") for number in range(CLASSES))
    source = SourceInfo(layout="made up", files=samples, fingerprint="0" * 64)
    (root / NAME).write_bytes(Manifest.make(classes, (split,), source, {}).render())
    return root


def rows_of_shard(number: int, first: int, count: int, side: int) -> Rows:
    """Rows that name bytes inside the tar."""
    rows = np.zeros(count, ROW)
    ids = np.arange(first, first + count)
    rows["shard"], rows["offset"], rows["size"] = number, 512 + np.arange(count) * 4096, SIZE + ids % 1000
    rows["label"], rows["width"], rows["height"] = ids % CLASSES, side + ids % 7, side + ids % 5
    rows["crc32"] = rows["source_crc32"] = ids * 2_654_435_761 % (1 << 32)
    rows["source_size"] = rows["size"]
    rows["sha256"][:, :8] = ids[:, None].view(np.uint8)
    return rows


def _tar(root: Path, number: int, count: int) -> ShardInfo:
    name, size = f"train-{number:06d}.tar", 1024 + 4096 * count
    with (root / name).open("wb") as stream:
        stream.truncate(size)
    return ShardInfo(name=name, samples=count, bytes=size, sha256=f"{number:064x}")
