"""Makes the two sets of `benchmarks.whole.partitions`: the same images in tars of prep, and in tars of one class."""

from pathlib import Path

import numpy as np

from benchmarks.whole.invariance import headrace
from headrace.shards.shardset import ShardSet, Split
from headrace.shards.tar import TarWriter

CLASSES, PER_CLASS, PER_TAR = 20, 500, 250
PREPARED, SORTED = "prepared", "sorted"


def make_sets(tiny: Path, work: Path) -> dict[str, Path]:
    """The folders of both sets by name; missing sets are made."""
    found = {name: work / name for name in (PREPARED, SORTED)}
    if not (found[PREPARED] / "shardset.json").exists():
        numbers = {"--classes": CLASSES, "--per-class": PER_CLASS, "--samples-per-shard": PER_TAR}
        headrace("prep", tiny, found[PREPARED], *(str(word) for pair in numbers.items() for word in pair))
    if not (found[SORTED] / "shardset.json").exists():
        found[SORTED].mkdir(exist_ok=True)
        shards = ShardSet.open(found[PREPARED])
        for name in shards:
            _write_sorted(shards[name], found[SORTED])
        headrace("index", found[SORTED])
    return found


def _write_sorted(split: Split, folder: Path) -> None:
    """Write the images of a split to tars with PER_TAR images each, class by class."""
    order = np.argsort(split.labels, kind="stable")
    for number, first in enumerate(range(0, len(order), PER_TAR)):
        with (folder / f"{split.name}-{number:06}.tar").open("wb") as file:
            writer = TarWriter(file)
            for sample in order[first : first + PER_TAR].tolist():
                picture = split[sample]
                writer.add(picture.key, picture.jpeg, picture.label)
            writer.close()
