"""Counts what a prep did with the files of its source, for the summary that it prints at its end."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from headrace.prep.make.publish import Written
from headrace.prep.make.record import Bad
from headrace.prep.sources.files import CONFLICT, DUPLICATE, KNOWN, KNOWN_OTHERWISE, Unused
from headrace.shards.manifest import TRAIN, VALIDATION

_PATH = re.compile(f"({DUPLICATE}|{CONFLICT}|{KNOWN}|{KNOWN_OTHERWISE}): .*", re.DOTALL)  # each has a different path
_SIZES = re.compile(r"\d+ x \d+ made \d+ x \d+")


@dataclass(frozen=True)
class Tally:
    """Counts of the source files that prep converted or omitted. All counts are empty if an existing set is reused."""

    images: int = 0  # all images that were decoded
    bad: Counter[str] = field(default_factory=Counter)
    """The number of images of each class that are omitted because they do not decode."""
    converted: Counter[str] = field(default_factory=Counter)
    """The number of converted images, by a text that says what was changed and why."""
    unused: Counter[str] = field(default_factory=Counter)
    """The number of other files that are not samples, by the reason."""
    empty: tuple[str, ...] = ()
    """Folders without any file; they do not become classes."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """The classes that have no sample in a split, by the name of the split."""


def tally(written: Written, unused: list[Unused], empty: list[str], images: int, bad: list[tuple[str, Bad]]) -> Tally:
    """Count the results of a prep. `bad` are the bad images, each with the id of its class."""
    paths = {one.path for _, one in bad}  # bad images of dropped classes are in `unused` too
    notes = (note for note in written.notes if note.action == "converted")
    return Tally(
        images,
        Counter(name for name, _ in bad),
        Counter(_SIZES.sub("made smaller", note.reason) for note in notes),
        reasons_of(one for one in unused if one.path not in paths),
        tuple(empty),
        _missing(written),
    )


def reasons_of(unused: Iterable[Unused]) -> Counter[str]:
    """Return the number of files that are not samples, by the reason."""
    reasons: Counter[str] = Counter()
    for one in unused:
        reasons[_PATH.sub(r"\1", one.reason)] += one.files
    return reasons


def _missing(written: Written) -> dict[str, list[str]]:
    """Return the classes without samples, for each of the splits train and val that the set has."""
    found = {}
    for split in (TRAIN, VALIDATION):
        if split in written.samples:
            lacking = np.flatnonzero(written.samples[split] == 0).tolist()
            if names := [written.manifest.classes[label].id for label in lacking]:
                found[split] = names
    return found
