"""Decodes every image of a split in order, and finds samples that do not decode."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from headrace.shards.encoded import Encoded
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.headers import unsafe
from headrace.shards.order import validation_batches
from headrace.shards.unsafe import why_unsafe
from headrace.train.input.decode import dali


def decode_all(split: Encoded, batch: int, *, threads: int) -> Iterator[list[NDArray[np.uint8]]]:
    """Yield all images of a split in order of their ids, in lists of `batch` images: uint8 (height, width, 3).

    The images are decoded on the CPU, into memory that DALI reuses for the next list. Raises DataError if a sample's
    bytes changed, do not decode, or decode to another size than the index says.
    """
    spans = validation_batches(len(split), batch)
    ids = iter(np.arange(first, last) for first, last in spans)
    pipeline = dali.decoding(lambda: split.jpegs(next(ids)), batch, threads)
    for first, last in spans:
        try:
            (batched,) = pipeline.run()
        except RuntimeError as error:
            ahead = min(last + dali.AHEAD * batch, len(split))
            raise explained(split, np.arange(first, ahead), error) from error
        images = dali.arrays(batched)
        for sample_id, image in enumerate(images, first):
            _check_shape(split, sample_id, image.shape)
        yield images


def explained(split: Encoded, ids: NDArray[np.int64], error: RuntimeError | MemoryError) -> HeadraceError:
    """Return the error for the user after a DALI graph failed on batches of these samples.

    Each sample is decoded separately, to find the first one that fails.
    """
    faults = (_fault(split, sample_id) for sample_id in ids.tolist())
    return next((fault for fault in faults if fault), None) or unexplained(error)


def blamed(split: Encoded, sample_id: int) -> DataError:
    """Return the error for the user about a sample on which a DALI graph failed.

    The error says that the sample does not decode, or that its size differs from the size in the index.
    """
    return _fault(split, sample_id) or _undecodable(split, sample_id)


def refused(split: Encoded, sample_id: int) -> DataError | None:
    """Return the error for the user about a sample whose headers make it unsafe to decode; None if it is safe."""
    fault = why_unsafe(split.jpegs(np.array([sample_id]))[0].tobytes())
    return unsafe(split, sample_id, fault) if fault else None


def _fault(split: Encoded, sample_id: int) -> DataError | None:
    """Decode one sample, and return the error about the sample, or None if it decodes to the size in the index."""
    if found := refused(split, sample_id):
        return found
    jpegs = split.jpegs(np.array([sample_id]))
    try:
        (batched,) = dali.decoding(lambda: jpegs, 1, threads=1).run()
    except RuntimeError:
        return _undecodable(split, sample_id)
    try:
        _check_shape(split, sample_id, dali.arrays(batched)[0].shape)
    except DataError as error:
        return error
    return None


def _check_shape(split: Encoded, sample_id: int, seen: tuple[int, ...]) -> None:
    expected = (int(split.heights[sample_id]), int(split.widths[sample_id]), 3)
    if seen != expected:
        raise DataError(
            f"{split.describe(sample_id)}: the image decodes to {seen}, but the index says {expected}, as (height, "
            "width, channels). Find all such samples with `headrace verify --deep` on the shard set"
        )


def _undecodable(split: Encoded, sample_id: int) -> DataError:
    return DataError(
        f"{split.describe(sample_id)}: the image does not decode. Find all such samples with "
        "`headrace verify --deep` on the shard set"
    )


def unexplained(error: RuntimeError | MemoryError) -> HeadraceError:
    """Return the error for the user if no single sample caused DALI's error."""
    reason = str(error).rpartition("encountered:")[2].strip().splitlines()
    return HeadraceError(
        "DALI failed on several images together, although it decodes each of them separately: "
        f"{reason[0] if reason else type(error).__name__}. Start again; if this repeats, check whether this machine "
        "has enough memory"
    )
