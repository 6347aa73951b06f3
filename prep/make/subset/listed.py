"""Reads a list of samples from a file: a split and an id on each line."""

from array import array
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.prep.make.subset.asked import Ids
from headrace.shards import regular
from headrace.shards.errors import DataError, UsageError
from headrace.shards.paths import refuse_impossible
from headrace.shards.shardset import ShardSet

_HEADER = ["split", "id"]
_DIGITS = 18  # digits of the largest id that is read as a number
_LONGEST = 1 << 12  # bytes of a line


def listed(shards: ShardSet, path: Path) -> Ids:
    """Return the ids of the samples that a text file lists, by split, in ascending order.

    A line is `train 17` or `train,17`; for a set with one split, the id is enough. Empty lines, lines that begin with
    #, and a first line `split,id` are skipped. Raises UsageError if the file cannot be read, DataError if a line does
    not name a sample of the set, or if a sample is listed twice.
    """
    refuse_impossible(path)
    sizes = {split.name: split.samples for split in shards.manifest.splits}
    found: dict[str, array[int]] = defaultdict(lambda: array("q"))
    try:
        with regular.opened(path) as stream:
            number = 0
            while line := stream.readline(_LONGEST):
                number += 1
                if len(line) == _LONGEST and not line.endswith(b"\n"):
                    raise DataError(f"{path}: line {number:,} is too long. Write one sample per line")
                words = line.decode("utf-8", "replace").replace(",", " ").split()
                if not words or words[0].startswith("#") or (number == 1 and words == _HEADER):
                    continue
                split, sample = _sample(words, sizes, f"{path}: line {number:,}")
                found[split].append(sample)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}). Give --ids a file with one sample per line"
        ) from error
    return {name: _once(np.sort(np.array(found[name], np.int64)), name, path) for name in sizes}


def _sample(words: list[str], sizes: dict[str, int], where: str) -> tuple[str, int]:
    """Return the split and the id of the sample that a line names."""
    if len(words) == 1 and len(sizes) == 1:
        words = [*sizes, *words]
    if len(words) != 2 or words[0] not in sizes:
        raise DataError(
            f"{where}: {' '.join(words)[:60]!r} is not a split and an id of a sample. "
            f"Write it as `{next(iter(sizes))} 17`; the splits are {', '.join(sizes)}"
        )
    split, text = words
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) < sizes[split]):
        raise DataError(f"{where}: {text[:60]!r} is not an id of {split}: ids are 0 to {sizes[split] - 1}")
    return split, int(text)


def _once(ids: NDArray[np.int64], split: str, path: Path) -> NDArray[np.int64]:
    """Return the sorted ids. Raises DataError if an id occurs twice."""
    again = ids[1:][ids[1:] == ids[:-1]]
    if len(again):
        raise DataError(f"{path}: sample {again[0]} of {split} is listed twice. List each sample once")
    return ids
