"""Reads and checks the JPEG files of a batch in one call that does not hold the interpreter's lock."""

import numpy as np
from numpy.typing import NDArray

from headrace.shards.encoded import Encoded
from headrace.shards.shardset import Split
from headrace.train.input.decode.arrays import Jpegs
from headrace.train.input.kernels.read import read_rows

_MOST_PADDING = 4  # times the bytes of the files: with a long file among short ones, an array would waste memory


def read(source: Encoded, ids: NDArray[np.int64]) -> Jpegs:
    """Return the JPEG files of these samples (at least one).

    Files of a split are checked against the CRC-32 in the index.

    If every file ends with JPEG's end-of-image marker, the files are returned as the rows of one array, which DALI
    takes as a whole. No decoder reads beyond that marker, so the zeros after a file in its row have no effect. A
    truncated file lacks the marker, and zeros after it would hide that. Raises DataError, which names the sample, if a
    sample's bytes changed.
    """
    if not isinstance(source, Split):
        return source.jpegs(ids)
    places = source.places(ids)
    longest = int(places.sizes.max())
    if len(ids) * longest <= _MOST_PADDING * int(places.sizes.sum(dtype=np.int64)):
        rows = np.empty((len(ids), longest), np.uint8)
        if read_rows(*places[:4], rows):
            return rows
    return source.jpegs(ids)
