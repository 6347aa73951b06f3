"""Finds images that occur more than once in a set, in memory that does not grow with the set.

Equal images have equal SHA-256. At first, only the first word (eight bytes, taken as a number) of each SHA-256 is
compared, in several passes over the set. A pass sorts the numbers in one range, about 4 million numbers (32 MB), and
finds those that occur twice. The whole SHA-256 is compared only for samples with such a number, for 262,144 such
numbers at a time (about 60 MB if each number has two samples). A set of n samples is read n / 2**22 times, rounded up,
for the passes. The set is also read once for every 262,144 numbers that occur twice, and once for the samples of the
listed pairs.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.equal_images import Groups, Kind, Pair, Place, Tally, first_pairs
from headrace.shards.index import Index
from headrace.shards.manifest import SplitInfo

_NUMBERS = 1 << 22  # first words that a pass sorts
_AT_ONCE = 1 << 18  # of those that occur twice, how many are looked at together
_ROWS = 1 << 20  # rows of equal images that are in memory before they are grouped
_WORDS = 4  # of 64 bits, in a SHA-256


class Repeats(NamedTuple):
    """Counts of equal images.

    `repeated` is the number of samples of each split whose image occurs earlier in the split. `conflicting` is the
    number of images of each split that have more than one label in the split. `shared` is, for each two splits, the
    number of samples of the second split whose image is also in the first.
    """

    repeated: dict[str, int]
    conflicting: dict[str, int]
    shared: dict[tuple[str, str], int]
    images: int  # that occur more than once in the set
    disputed: int  # of these, those with more than one label
    pairs: dict[Kind, int]  # how many there are
    first: dict[Kind, list[Pair]]  # the first of them


def count_repeats(root: Path, splits: tuple[SplitInfo, ...], most: int) -> Repeats:
    """Count equal images by the hashes and labels of every split, and list the first `most` pairs of each kind.

    Raises DataError if an index is damaged.
    """
    with ExitStack() as stack:
        hashes = _Hashes([stack.enter_context(closing(Index(root, split.index))) for split in splits])
        tally = Tally(len(splits), most)
        for low, high in _ranges(hashes.samples):
            twice = _that_occur_twice(hashes, low, high)
            for first in range(0, len(twice), _AT_ONCE):
                tally.add(_groups(hashes, twice[first : first + _AT_ONCE]))
        images = np.concatenate([leads.words for leads in tally.leads.values()])
        pairs = first_pairs(tally.leads, hashes.places(images), most)
    names = [split.name for split in splits]
    return Repeats(
        dict(zip(names, tally.repeated.tolist(), strict=True)),
        dict(zip(names, tally.conflicting.tolist(), strict=True)),
        {(names[one], names[other]): count for (one, other), count in tally.shared.items()},
        tally.images,
        tally.disputed,
        tally.pairs,
        pairs,
    )


class _Rows(NamedTuple):
    """n consecutive samples: index of the split, id of the first sample, words of the SHA-256 (n, 4), labels (n,)."""

    split: int
    first: int
    words: NDArray[np.uint64]
    labels: NDArray[np.int32]


class _Hashes:
    """Iterates over the SHA-256 and the label of every sample; each iteration reads the indexes again."""

    def __init__(self, indexes: list[Index]) -> None:
        self._indexes = indexes
        self.samples = sum(one.rows for one in indexes)

    def __iter__(self) -> Iterator[_Rows]:
        for split, index in enumerate(self._indexes):
            first = 0
            for batch in index.batches(("sha256", "label")):
                words = _words(batch["sha256"])
                yield _Rows(split, first, words, batch["label"].to_numpy())
                first += len(words)

    def with_first_word(self, wanted: NDArray[np.uint64]) -> Iterator[tuple[_Rows, NDArray[np.int64]]]:
        """Yield blocks of rows, each with the indexes of the rows whose first word is in the sorted array `wanted`."""
        for rows in self if len(wanted) else ():
            at = np.searchsorted(wanted, rows.words[:, 0]).clip(max=len(wanted) - 1)
            found = np.flatnonzero(wanted[at] == rows.words[:, 0])
            if len(found):
                yield rows, found

    def places(self, images: NDArray[np.uint64]) -> Iterator[tuple[bytes, Place]]:
        """Yield every sample whose SHA-256 is one of `images`, words (k, 4), in the order of splits and ids."""
        wanted = {image.tobytes() for image in images}
        for rows, found in self.with_first_word(np.unique(images[:, 0])):
            for row in found.tolist():
                if (image := rows.words[row].tobytes()) in wanted:
                    yield image, Place(rows.split, rows.first + row, int(rows.labels[row]))


def _ranges(samples: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last number of each range; about `_NUMBERS` of the set's first words are in a range."""
    passes = max(1, -(-samples // _NUMBERS))
    for number in range(passes):
        yield (number << 64) // passes, ((number + 1) << 64) // passes - 1


def _that_occur_twice(hashes: _Hashes, low: int, high: int) -> NDArray[np.uint64]:
    """The values from `low` to `high` that are the first 64 bits of more than one hash, sorted."""
    held, count = np.empty(min(hashes.samples, _NUMBERS + _NUMBERS // 16), np.uint64), 0
    for rows in hashes:
        own = rows.words[:, 0]
        own = own[(own >= np.uint64(low)) & (own <= np.uint64(high))]
        if count + len(own) > len(held):  # there are many copies, of which two of each are enough
            kept = _two_of_each(held[:count])
            held[: len(kept)], count = kept, len(kept)
        if count + len(own) > len(held):
            held = np.concatenate([held, np.empty(len(held) + len(own), np.uint64)])
        held[count : count + len(own)] = own
        count += len(own)
    own = held[:count]
    own.sort()
    return np.unique(own[1:][own[1:] == own[:-1]])


def _two_of_each(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The values in increasing order, each at most twice. Also sorts the array `values` in place."""
    values.sort()
    kept = np.ones(len(values), bool)
    kept[2:] = values[2:] != values[:-2]
    return values[kept]


def _groups(hashes: _Hashes, wanted: NDArray[np.uint64]) -> Groups:
    """The groups of all samples whose first word is in the sorted array `wanted`."""
    parts, count = [_group(np.empty((0, _WORDS), np.uint64), np.empty(0, np.int32), 0, np.empty(0, np.int64))], 0
    for rows, found in hashes.with_first_word(wanted):
        parts.append(_group(rows.words[found], rows.labels[found], rows.split, rows.first + found))
        count += len(found)
        if count > _ROWS:
            parts = [Groups.of(parts)]
            count = len(parts[0].ids)
    return Groups.of(parts)


def _group(words: NDArray[np.uint64], labels: NDArray[np.int32], split: int, ids: NDArray[np.int64]) -> Groups:
    return Groups(words, np.full(len(ids), split, np.int32), labels, ids, np.ones(len(ids), np.int64))


def _words(sums: Any) -> NDArray[np.uint64]:
    """A view of an Arrow array of n SHA-256 as words, uint64 (n, 4), without a copy."""
    count, first = len(sums) * _WORDS, sums.offset * _WORDS * 8
    return np.frombuffer(sums.buffers()[1], np.uint64, count, first).reshape(-1, _WORDS)
