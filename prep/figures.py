"""`headrace inspect`: the figures of a shard set as text, or as one JSON object."""

import json
from typing import Any

import numpy as np

from headrace.prep.command.options import MEGABYTE
from headrace.prep.histogram import histogram
from headrace.prep.summary import split_name
from headrace.shards.inspection import PERCENTILES, Facts, SplitFacts, inspect
from headrace.shards.shard_needs import most_read
from headrace.shards.shardset import ShardSet, Split
from headrace.shards.shuffling import shares, shuffle_quality

_TRAIN, _BATCH, _GROUP, _WINDOWS = "train", 256, 32, (1, 2, 4, 8)
_PARTITIONS = "partitions (train.partitions)"


def report(shards: ShardSet) -> str:
    """Lines of text with counts, classes, percentiles, duplicates and leakage."""
    facts = inspect(shards)
    counts = f"{shards.manifest.samples:,} samples, {len(shards.class_ids):,} classes"
    if shards.manifest.appended:
        counts += f" in {len(shards.manifest.parts)} parts"
    head = f"{shards.where}: {counts}, digest {shards.digest}"
    return "\n".join([head, *(line for split in facts.splits for line in _split(split, shards)), *_leakage(facts)])


def as_object(shards: ShardSet) -> str:
    """The figures as a JSON object. `classes` are in the order of the labels; `percentiles` names the percentiles."""
    facts = inspect(shards)
    counts = {split.name: split.per_class.tolist() for split in facts.splits}
    record = {
        "root": str(shards.where),
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
    """Lines on how well windows and partitions mix the classes, and on how much a host reads with partitions."""
    split = shards.split(_TRAIN)
    found = shuffle_quality(split.labels, split.shard_sizes, _BATCH, _GROUP, _WINDOWS)
    lines = _appended(shards, split)
    split.close()
    for number, (what, samples) in enumerate((("batch", found.batch), ("group", found.group))):
        lines.append(
            f"  classes in a {what} of {samples}: {found.expected[number]:.1f} expected, "
            f"{found.whole[number]:.1f} over the whole set"
        )
        for key, several in (("windows of shards (train.window)", found.windows), (_PARTITIONS, found.partitions)):
            seen = ", ".join(f"{classes[number]:.1f} with {count}" for count, classes in several.items())
            lines += [f"    in {key}: {seen}"] if several else []
    return [*lines, *_read(shards, max(found.partitions, default=1))]


def _appended(shards: ShardSet, split: Split) -> list[str]:
    """Lines about the share of appended samples in batches, because a window may have many of their tars, or none."""
    if not shards.manifest.appended:
        return []
    later = split.shard_of >= shards.manifest.first_tars(split.name)
    whole, windows = shares(later, split.shard_sizes, _BATCH, _WINDOWS)
    head = f"  {np.count_nonzero(later):,} samples were appended, {later.mean():.1%}; "
    lines = [f"{head}their share of a batch of {min(_BATCH, len(split))} is {whole} over the whole set"]
    seen = ", ".join(f"{share} with {count}" for count, share in windows.items())
    return [*lines, f"    in windows of shards (train.window): {seen}"] if windows else lines


def _read(shards: ShardSet, partitions: int) -> list[str]:
    """A line on how much of the training split a host reads in an epoch, without partitions and with `partitions`."""
    if partitions == 1:
        return []
    (split,) = (one for one in shards.manifest.splits if one.name == _TRAIN)
    size, read = sum(shard.bytes for shard in split.shards) / MEGABYTE, []
    for hosts in (2, 3, 4, 8):
        share = most_read(partitions, _BATCH // _GROUP, hosts) / partitions
        read.append(f"{size * share:,.1f} on {hosts}")
    return [f"  MB that a host reads in an epoch: {size:,.1f}; with {partitions} partitions {', '.join(read)} hosts"]


def _leakage(facts: Facts) -> list[str]:
    return [
        f"{other}: {count:,} samples have an image that is also in {one}" + (" (leakage)" if count else "")
        for (one, other), count in facts.shared.items()
    ]
