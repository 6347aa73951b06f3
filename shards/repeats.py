"""Counts images that occur more than once in a set, on arrays without a Python object for each image.

Equal images have equal SHA-256. The first eight bytes of each are held in memory; the rest is only read for values that
occur twice.
"""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards import index
from headrace.shards.manifest import SplitInfo

_WORDS = 4  # of 64 bits, in a SHA-256


class Repeats(NamedTuple):
    """By split: samples whose image occurs earlier in the split, and images with more than one label.

    `shared`: for two splits, the samples of the second whose image is also in the first.
    """

    repeated: dict[str, int]
    conflicting: dict[str, int]
    shared: dict[tuple[str, str], int]


class _Suspects(NamedTuple):
    """Samples whose image may occur again: `words` (k, 4) of its SHA-256, the label, and the index of the split."""

    words: NDArray[np.uint64]
    labels: NDArray[np.int32]
    splits: NDArray[np.int64]


def count_repeats(root: Path, splits: tuple[SplitInfo, ...]) -> Repeats:
    """Read the hashes and labels of every split, by row group, twice. Raises DataError if an index is damaged."""
    twice = _first_words_that_occur_twice(root, splits)
    found = _suspects(root, splits, twice)
    images = _numbered(found.words)
    names = [split.name for split in splits]
    of_split = {name: found.splits == number for number, name in enumerate(names)}
    own = {name: np.unique(images[mask]) for name, mask in of_split.items()}
    return Repeats(
        {name: int(mask.sum()) - len(own[name]) for name, mask in of_split.items()},
        {name: _with_several(images[mask], found.labels[mask]) for name, mask in of_split.items()},
        {(one, other): int(np.isin(images[of_split[other]], own[one]).sum()) for one, other in combinations(names, 2)},
    )


def _first_words_that_occur_twice(root: Path, splits: tuple[SplitInfo, ...]) -> NDArray[np.uint64]:
    words = np.empty(sum(split.samples for split in splits), np.uint64)
    first = 0
    for split in splits:
        for group, _ in _groups(root, split):
            words[first : first + len(group)] = group[:, 0]
            first += len(group)
    words.sort()
    return np.unique(words[1:][words[1:] == words[:-1]])


def _suspects(root: Path, splits: tuple[SplitInfo, ...], twice: NDArray[np.uint64]) -> _Suspects:
    parts = [_Suspects(np.empty((0, _WORDS), np.uint64), np.empty(0, np.int32), np.empty(0, np.int64))]
    for number, split in enumerate(splits if len(twice) else ()):
        for words, labels in _groups(root, split):
            at = np.searchsorted(twice, words[:, 0]).clip(max=len(twice) - 1)
            rows = np.flatnonzero(twice[at] == words[:, 0])
            parts.append(_Suspects(words[rows], labels[rows], np.full(len(rows), number)))
    return _Suspects(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _groups(root: Path, split: SplitInfo) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int32]]]:
    """The words (n, 4) and labels (n,) of each row group."""
    for group in index.read_groups(root, split.index, ("sha256", "label")):
        yield _words(group["sha256"]), group["label"].to_numpy()


def _words(sums: Any) -> NDArray[np.uint64]:
    """View an Arrow array of 32 bytes each as words, without a copy."""
    count, first = len(sums) * _WORDS, sums.offset * _WORDS * 8
    return np.frombuffer(sums.buffers()[1], np.uint64, count, first).reshape(-1, _WORDS)


def _numbered(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """A number for each row; equal rows get the same number."""
    order = np.lexsort(words.T)
    ordered = words[order]
    new = np.ones(len(words), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    numbers = np.empty(len(words), np.int64)
    numbers[order] = np.cumsum(new)
    return numbers


def _with_several(images: NDArray[np.int64], labels: NDArray[np.int32]) -> int:
    """The number of images that occur with different labels."""
    pairs = np.unique(np.column_stack([images, labels]), axis=0)
    _, counts = np.unique(pairs[:, 0], return_counts=True)
    return int((counts > 1).sum())
