"""Every image of a split, decoded in order; and which sample it was where one does not decode."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shards.errors import DataError, HeadraceError
from shards.order import validation_batches
from shards.shardset import Split
from train import graphs


def decode_all(split: Split, batch: int, *, threads: int) -> Iterator[list[NDArray[np.uint8]]]:
    """All images of a split in order of their ids, `batch` at a time: uint8 (height, width, 3), decoded on the CPU.

    They lie in DALI's memory, which it takes back for the next batch.
    Raises DataError when a sample's bytes changed, do not decode, or are of another size than the index says.
    """
    spans = validation_batches(len(split), batch)
    ids = iter(np.arange(first, last) for first, last in spans)
    pipeline = graphs.decoding(lambda: split.jpegs(next(ids)), batch, threads)
    for first, last in spans:
        try:
            (batched,) = pipeline.run()
        except RuntimeError as error:
            ahead = min(last + graphs.AHEAD * batch, len(split))
            raise _first_undecodable(split, range(first, ahead)) from error
        images = graphs.arrays(batched)
        for sample_id, image in enumerate(images, first):
            expected = (int(split.heights[sample_id]), int(split.widths[sample_id]), 3)
            if image.shape != expected:
                raise DataError(
                    f"{split.describe(sample_id)}: decodes to {image.shape}, the index says {expected}. "
                    "See all that is wrong with `headrace verify --deep` on the shard set"
                )
        yield images


def _first_undecodable(split: Split, ids: range) -> HeadraceError:
    """The user's error where DALI could not decode one of these samples: they are tried one by one."""
    for sample_id in ids:
        if not _decodes(split.jpegs(np.array([sample_id]))):
            return undecodable(split, sample_id)
    return HeadraceError(f"decoding samples {ids[0]} to {ids[-1]} of {split.name} failed. Try again")


def _decodes(jpegs: list[NDArray[np.uint8]]) -> bool:
    try:
        graphs.decoding(lambda: jpegs, len(jpegs), threads=1).run()
    except RuntimeError:
        return False
    return True


def undecodable(split: Split, sample_id: int) -> DataError:
    """The user's error for a sample that does not decode."""
    return DataError(
        f"{split.describe(sample_id)}: the image does not decode. Find all such samples with "
        "`headrace verify --deep` on the shard set"
    )
