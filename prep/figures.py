"""`headrace inspect`: the figures of a shard set as text."""

from prep.histogram import histogram
from shards.inspection import PERCENTILES, Facts, SplitFacts, inspect
from shards.shardset import ShardSet


def report(shards: ShardSet) -> str:
    """Counts, classes, percentiles, duplicates and leakage."""
    facts = inspect(shards)
    head = (
        f"{shards.root}: {shards.manifest.samples:,} samples, {len(shards.class_ids):,} classes, digest {shards.digest}"
    )
    return "\n".join([head, *(line for split in facts.splits for line in _split(split, shards)), *_leakage(facts)])


def _split(split: SplitFacts, shards: ShardSet) -> list[str]:
    counts = split.per_class
    lines = [f"{split.name}: {split.samples:,} samples; per class {counts.min():,} to {counts.max():,}"]
    lines += [f"  {line}" for line in histogram(shards.class_names, counts)]
    lines.append("  percentile " + " ".join(f"{point:>9}" for point in PERCENTILES))
    for name, values in (("width", split.widths), ("height", split.heights), ("bytes", split.bytes)):
        lines.append(f"  {name:<10} " + " ".join(f"{value:>9,}" for value in values))
    lines.append("  aspect     " + " ".join(f"{value:>9.2f}" for value in split.aspects))
    lines.append(
        f"  {split.repeated:,} samples repeat an image of the split; {split.conflicting:,} images have several labels"
    )
    return lines


def _leakage(facts: Facts) -> list[str]:
    return [
        f"{other}: {count:,} samples have an image that is also in {one}" + (" (leakage)" if count else "")
        for (one, other), count in facts.shared.items()
    ]
