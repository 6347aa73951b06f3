"""`headrace inspect`: formats the figures of a shard set, such as counts and sizes, as text."""

from collections.abc import Iterable

from headrace.prep.command.options import MEGABYTE
from headrace.prep.histogram import histogram, in_bins, short
from headrace.prep.summary import split_name
from headrace.shards.bins import EDGES
from headrace.shards.counts import counted
from headrace.shards.equal_images import KINDS, Kind
from headrace.shards.inspection import Facts, Sample, SplitFacts, labels_at
from headrace.shards.percentiles import PERCENTILES
from headrace.shards.shard_needs import most_read
from headrace.shards.shardset import ShardSet
from headrace.shards.shuffling import shares, shuffle_quality

_TRAIN, _BATCH, _GROUP, _WINDOWS = "train", 256, 32, (1, 2, 4, 8)
_PARTITIONS = "partitions (train.partitions)"
_PAIRS = 5  # of each kind
_TITLES: dict[Kind, str] = {
    "across": "in two splits",
    "labels": "in one split, under two labels",
    "within": "in one split, under one label",
}


def report(shards: ShardSet, facts: Facts) -> str:
    """The figures as text: counts, classes, percentiles, histograms, duplicates, and images in several splits."""
    counts = f"{shards.manifest.samples:,} samples, {len(shards.class_ids):,} classes"
    if shards.manifest.appended:
        counts += f" in {len(shards.manifest.parts)} parts"
    head = f"{shards.where}: {counts}, digest {shards.digest}"
    lines = (line for split in facts.splits for line in _split(split, shards))
    return "\n".join([head, *lines, *_leakage(facts), *_equal(facts, shards.class_names)])


def _split(split: SplitFacts, shards: ShardSet) -> list[str]:
    counts, balance = split.per_class, split.balance
    name = split_name(shards.manifest, split.name)
    spread = f"{counts.min():,} to {counts.max():,}, median {counts[balance.median]:,}"
    lines = [f"{name}: {split.samples:,} samples; per class {spread}"]
    lines += [f"  {line}" for line in histogram(shards.class_names, counts)]
    if counts.min() < counts.max():
        for what, label in zip(("smallest", "median", "largest"), balance, strict=False):
            lines.append(f"  {what + ' class':<15} {counts[label]:>9,} {short(shards.class_names[label])}")
    lines += [f"  classes without a sample: {balance.empty:,}"] if balance.empty else []
    lines.append("  percentile " + " ".join(f"{point:>9}" for point in PERCENTILES))
    for key in ("width", "height", "bytes"):
        lines.append(f"  {key:<10} " + " ".join(f"{value:>9,}" for value in split.sizes[key].percentiles))
    lines.append("  aspect     " + " ".join(f"{value:>9.2f}" for value in split.sizes["aspect"].percentiles))
    for key, sizes in split.sizes.items():
        lines += [f"  samples by {key}{' (width / height)' if key == 'aspect' else ''}"] if split.samples else []
        lines += [f"    {line}" for line in in_bins(EDGES[key], sizes.counts)]
    lines.append(
        f"  {split.repeated:,} samples repeat an image of the split; {split.conflicting:,} images have several labels"
    )
    return [*lines, *_mixing(shards, split)] if split.name == _TRAIN and split.samples else lines


def _mixing(shards: ShardSet, facts: SplitFacts) -> list[str]:
    """Lines with the mean number of classes in a batch and in a group, for several ways to shuffle the set.

    The ways are: over the whole set, in windows of shards, and with partitions. With partitions, another line tells how
    much data a host reads in an epoch.
    """
    (info,) = (one for one in shards.manifest.splits if one.name == _TRAIN)
    sizes = tuple(shard.samples for shard in info.shards)
    found = shuffle_quality(
        lambda ids: labels_at(shards, _TRAIN, ids), facts.per_class, sizes, _BATCH, _GROUP, _WINDOWS
    )
    lines = _appended(shards, sizes)
    for number, (what, samples) in enumerate((("batch", found.batch), ("group", found.group))):
        lines.append(
            f"  classes in a {what} of {samples}: {found.expected[number]:.1f} expected, "
            f"{found.whole[number]:.1f} over the whole set"
        )
        for key, several in (("windows of shards (train.window)", found.windows), (_PARTITIONS, found.partitions)):
            seen = ", ".join(f"{classes[number]:.1f} with {count}" for count, classes in several.items())
            lines += [f"    in {key}: {seen}"] if several else []
    size = sum(shard.bytes for shard in info.shards) / MEGABYTE
    return [*lines, *_read(size, max(found.partitions, default=1))]


def _appended(shards: ShardSet, sizes: tuple[int, ...]) -> list[str]:
    """Lines with the share of appended samples in a batch, for the whole set and for windows of shards.

    In a window the share varies, because a window may contain many tars of appended samples, or none.
    """
    if not shards.manifest.appended:
        return []
    samples, first = sum(sizes), sum(sizes[: shards.manifest.first_tars(_TRAIN)])
    whole, windows = shares(first, sizes, _BATCH, _WINDOWS)
    head = f"  {samples - first:,} samples were appended, {(samples - first) / samples:.1%}; "
    lines = [f"{head}their share of a batch of {min(_BATCH, samples)} is {whole} over the whole set"]
    seen = ", ".join(f"{share} with {count}" for count, share in windows.items())
    return [*lines, f"    in windows of shards (train.window): {seen}"] if windows else lines


def _read(size: float, partitions: int) -> list[str]:
    """Return a line with the MB that each host reads in an epoch, for several numbers of hosts.

    `size` is the size of the training split in MB. Without partitions, no line is returned.
    """
    if partitions == 1:
        return []
    read = []
    for hosts in (2, 3, 4, 8):
        share = most_read(partitions, _BATCH // _GROUP, hosts) / partitions
        read.append(f"{size * share:,.1f} on {hosts}")
    return [f"  MB that a host reads in an epoch: {size:,.1f}; with {partitions} partitions {', '.join(read)} hosts"]


def _leakage(facts: Facts) -> list[str]:
    return [
        f"{other}: {count:,} samples have an image that is also in {one}" + (" (leakage)" if count else "")
        for (one, other), count in facts.shared.items()
    ]


def _equal(facts: Facts, names: tuple[str, ...]) -> Iterable[str]:
    """Yield lines about pairs of equal images: for each kind of pair, such as pairs across splits, the number of pairs.

    Each number is followed by the first pairs of the kind.
    """
    if not facts.images:
        return
    yield f"equal images: {facts.images:,} occur more than once, {facts.disputed:,} of these under several labels"
    for kind in KINDS:
        if facts.pairs[kind]:
            yield f"  {_TITLES[kind]}: {counted(facts.pairs[kind], 'pair')}"
        for one in [twins for twins in facts.twins if twins.kind == kind][:_PAIRS]:
            yield f"    {_sample(one.first, names)} = {_sample(one.second, names)}"
        if facts.pairs[kind] > _PAIRS:
            yield f"    and {facts.pairs[kind] - _PAIRS:,} more"


def _sample(sample: Sample, names: tuple[str, ...]) -> str:
    return f"{short(sample.split, 8)} {short(sample.key, 12)} {short(names[sample.label], 16)}"
