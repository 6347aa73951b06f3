"""`headrace inspect`: the figures of a shard set as text, or as one JSON object."""

import json
from typing import Any

from headrace.prep.histogram import histogram
from headrace.prep.summary import split_name
from headrace.shards.inspection import PERCENTILES, Facts, SplitFacts, inspect
from headrace.shards.shardset import ShardSet
from headrace.shards.shuffling import shuffle_quality

_TRAIN, _BATCH, _WINDOWS = "train", 256, (1, 2, 4, 8)


def report(shards: ShardSet) -> str:
    """Counts, classes, percentiles, duplicates and leakage."""
    facts = inspect(shards)
    head = (
        f"{shards.root}: {shards.manifest.samples:,} samples, {len(shards.class_ids):,} classes, digest {shards.digest}"
    )
    return "\n".join([head, *(line for split in facts.splits for line in _split(split, shards)), *_leakage(facts)])


def as_object(shards: ShardSet) -> str:
    """The same as a JSON object: `classes` in the order of the labels, percentiles at the points that it names."""
    facts = inspect(shards)
    counts = {split.name: split.per_class.tolist() for split in facts.splits}
    record = {
        "root": str(shards.root),
        "samples": shards.manifest.samples,
        "digest": shards.digest,
        "classes": [
            {"id": one, "name": name, "samples": {split: found[label] for split, found in counts.items()}}
            for label, (one, name) in enumerate(zip(shards.class_ids, shards.class_names, strict=True))
        ],
        "percentiles": PERCENTILES,
        "splits": [_split_object(split) for split in facts.splits],
        "shared": [{"first": one, "second": other, "samples": count} for (one, other), count in facts.shared.items()],
    }
    return json.dumps(record, indent=1)


def _split_object(split: SplitFacts) -> dict[str, Any]:
    return {
        "name": split.name,
        "samples": split.samples,
        "width": split.widths,
        "height": split.heights,
        "aspect": split.aspects,
        "bytes": split.bytes,
        "repeated": split.repeated,
        "conflicting": split.conflicting,
    }


def _split(split: SplitFacts, shards: ShardSet) -> list[str]:
    counts = split.per_class
    name = split_name(shards.manifest, split.name)
    lines = [f"{name}: {split.samples:,} samples; per class {counts.min():,} to {counts.max():,}"]
    lines += [f"  {line}" for line in histogram(shards.class_names, counts)]
    lines.append("  percentile " + " ".join(f"{point:>9}" for point in PERCENTILES))
    for name, values in (("width", split.widths), ("height", split.heights), ("bytes", split.bytes)):
        lines.append(f"  {name:<10} " + " ".join(f"{value:>9,}" for value in values))
    lines.append("  aspect     " + " ".join(f"{value:>9.2f}" for value in split.aspects))
    lines.append(
        f"  {split.repeated:,} samples repeat an image of the split; {split.conflicting:,} images have several labels"
    )
    return [*lines, *_mixing(shards)] if split.name == _TRAIN and split.samples else lines


def _mixing(shards: ShardSet) -> list[str]:
    """How well orders in windows of shards mix the classes, beside the order over the whole set."""
    split = shards.split(_TRAIN)
    found = shuffle_quality(split.labels, split.shard_sizes, _BATCH, _WINDOWS)
    split.close()
    lines = [
        f"  classes in a batch of {found.batch}: {found.expected:.1f} expected, {found.whole:.1f} over the whole set"
    ]
    if found.windows:
        seen = ", ".join(f"{classes:.1f} with {length}" for length, classes in found.windows.items())
        lines.append(f"    in windows of shards (train.window): {seen}")
    return lines


def _leakage(facts: Facts) -> list[str]:
    return [
        f"{other}: {count:,} samples have an image that is also in {one}" + (" (leakage)" if count else "")
        for (one, other), count in facts.shared.items()
    ]
