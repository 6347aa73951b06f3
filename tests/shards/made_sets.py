"""Shard sets without images: tars of the right size with nothing in them, and indexes with made-up numbers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.shards.index_writer import writing
from headrace.shards.manifest import NAME, ClassInfo, Manifest, ShardInfo, SourceInfo, SplitInfo
from headrace.shards.sample import ROW, Rows, key_of

SIZE = 3000  # bytes of an image
CLASSES = 100


def made_set(root: Path, samples: int, each: int = 100_000, side: int = 64, copies: int = 0) -> Path:
    """A set of one split, `train`, with this many samples, `each` of them in a shard; its tars are sparse files.

    With `copies` every `copies`-th sample has the same image as the sample before it.
    """
    root.mkdir(parents=True)
    with writing(root / "train.parquet", samples) as index:
        for first in range(0, samples, 100_000):
            ids = range(first, min(first + 100_000, samples))
            keys = [key_of(one) for one in ids]
            rows = made_rows(np.array(ids), each, side)
            if copies:
                rows["sha256"][copies - 1 :: copies] = rows["sha256"][copies - 2 :: copies][: len(ids) // copies]
            index.add(rows, keys, [f"train/{key}.JPEG" for key in keys])
    counts = [min(each, samples - first) for first in range(0, samples, each)]
    shards = tuple(_tar(root, number, count) for number, count in enumerate(counts))
    split = SplitInfo(name="train", samples=samples, index=index.info, shards=shards)
    classes = tuple(ClassInfo(id=f"n{number:04d}", name=f"class {number}") for number in range(CLASSES))
    source = SourceInfo(layout="made up", files=samples, fingerprint="0" * 64)
    (root / NAME).write_bytes(Manifest.make(classes, (split,), source, {}).render())
    return root


def made_rows(ids: NDArray[np.int64], each: int, side: int) -> Rows:
    """Rows that point at bytes inside the tars."""
    rows = np.zeros(len(ids), ROW)
    rows["shard"], rows["offset"], rows["size"] = ids // each, 512 + ids % each * 4096, SIZE + ids % 1000
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
