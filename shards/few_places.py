"""Finds the samples at a few positions of an epoch, without keeping the order of the whole epoch in memory.

In an epoch, the samples are in the order of the hashes of their ids. A first pass over the ids counts the hashes in
each of many ranges. The counts give the ranges that contain the wanted positions. A second pass keeps only the ids
whose hashes are in these ranges, and sorts them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, hash64
from headrace.shards.line import Pieces
from headrace.shards.order import Order

_BITS = 18  # of a hash: one of 2**18 ranges
_TOGETHER = 1 << 18  # ids whose hashes are in memory

Span = tuple[int, int]  # first and past-the-last position


def ids_of(order: Order, spans: Sequence[Span]) -> list[NDArray[np.int64]]:
    """For each span (first, last), the ids at its positions in epoch 0, int64 (last - first,).

    The memory in use grows with the number of positions. For an order in windows, the ids of two windows are in memory
    too.
    """
    if order.windows is not None:
        return [order.positions(*span).ids for span in spans]
    stretches = [[one for one in order.stretches(*span) if one.first < one.last] for span in spans]
    wanted: dict[int, list[NDArray[np.int64]]] = {}
    for partition, first, last in (one for several in stretches for one in several):
        wanted.setdefault(partition, []).append(np.arange(first, last))
    found = {
        partition: _ids_at(order.seed, order.pieces(0, partition), np.concatenate(places))
        for partition, places in wanted.items()
    }
    taken = dict.fromkeys(found, 0)
    results = []
    for several in stretches:
        parts = [np.empty(0, np.int64)]
        for partition, first, last in several:
            begin = taken[partition]
            taken[partition] += last - first
            parts.append(found[partition][begin : taken[partition]])
        results.append(np.concatenate(parts))
    return results


def _ids_at(seed: int, pieces: Pieces, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sort all ids of `pieces` (ranges of ids) by their hashes; return the ids at n `places` in this order, (n,)."""
    counts = np.zeros(1 << _BITS, np.int64)
    for _, hashes in _hashed(seed, pieces):
        counts += np.bincount(_ranges(hashes), minlength=len(counts))
    ends = counts.cumsum()
    used = np.zeros(len(counts), bool)
    used[np.searchsorted(ends, places, side="right")] = True
    kept = [(ids[mask], hashes[mask]) for ids, hashes in _hashed(seed, pieces) if (mask := used[_ranges(hashes)]).any()]
    ids = np.concatenate([one for one, _ in kept])
    ids = ids[np.argsort(np.concatenate([one for _, one in kept]), kind="stable")]
    skipped = np.where(used, 0, counts).cumsum()  # ids in ranges without a wanted place, up to and with each range
    found: NDArray[np.int64] = ids[places - skipped[np.searchsorted(ends, places, side="right")]]
    return found


def _ranges(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (hashes >> np.uint64(64 - _BITS)).astype(np.int64)


def _hashed(seed: int, pieces: Pieces) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Yield the ids of the `pieces` (ranges of ids) with their hashes, at most `_TOGETHER` ids at a time."""
    for start, size in zip(pieces.starts.tolist(), pieces.sizes.tolist(), strict=True):
        for first in range(start, start + size, _TOGETHER):
            ids = np.arange(first, min(first + _TOGETHER, start + size))
            yield ids, hash64(seed, Stream.ORDER, 0, ids)
