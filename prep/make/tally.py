"""What a prep did with the files of its source, in numbers and names, for its summary."""

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from headrace.prep.make.publish import Written
from headrace.prep.make.record import Bad
from headrace.prep.sources.files import Unused
from headrace.shards.manifest import TRAIN, VALIDATION

_SIZES = re.compile(r"\d+ x \d+ made \d+ x \d+")


@dataclass(frozen=True)
class Tally:
    """What is not a plain copy of a file of the source. Empty where a set is reused."""

    images: int = 0  # candidates: all that were decoded
    bad: Counter[str] = field(default_factory=Counter)
    """Images left out, as they do not decode, by class."""
    converted: Counter[str] = field(default_factory=Counter)
    """Images by what was done to them and why."""
    unused: Counter[str] = field(default_factory=Counter)
    """Other files that are no samples, by reason."""
    empty: tuple[str, ...] = ()
    """Folders without any file, which are no classes."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """Split -> the classes without a sample in it."""


def tally(written: Written, unused: list[Unused], empty: list[str], images: int, bad: list[tuple[str, Bad]]) -> Tally:
    """Count what came of a source. `bad` are the bad images, each with the id of its class."""
    paths = {one.path for _, one in bad}
    reasons: Counter[str] = Counter()
    for one in unused:
        if one.path not in paths:  # those of classes that were dropped are among both
            reasons[one.reason] += one.files
    notes = (note for note in written.notes if note.action == "converted")
    return Tally(
        images,
        Counter(name for name, _ in bad),
        Counter(_SIZES.sub("made smaller", note.reason) for note in notes),
        reasons,
        tuple(empty),
        _missing(written),
    )


def _missing(written: Written) -> dict[str, list[str]]:
    """The classes that have no sample in the splits that a training uses, as far as these are there."""
    found = {}
    for split in (TRAIN, VALIDATION):
        if split in written.samples:
            lacking = np.flatnonzero(written.samples[split] == 0).tolist()
            if names := [written.manifest.classes[label].id for label in lacking]:
                found[split] = names
    return found
