"""What prep says at its end."""

from collections import Counter
from pathlib import Path

from headrace.prep.command.counts import counted, first_of
from headrace.prep.command.options import MEGABYTE
from headrace.prep.convert import Result
from headrace.prep.make.tally import Tally
from headrace.prep.sources.files import READ, SYMBOLIC
from headrace.shards.manifest import VALIDATION, Manifest
from headrace.shards.names import REPORT

_SHOWN = 20  # names in a line


def summary(result: Result, out: Path) -> str:
    """What the set consists of, and how it came about."""
    manifest = result.manifest
    if result.reused:
        end = f"  reused: made before from the same source with the same options ({result.seconds:.2f} s)"
    else:
        end = (
            f"  made in {result.seconds:.1f} s, {manifest.samples / result.seconds:,.0f} images/s, every image decoded"
        )
    return "\n".join([contents(manifest, out), *account(result.tally), end])


def contents(manifest: Manifest, out: Path) -> str:
    """What a set consists of."""
    splits = ", ".join(f"{split.samples:,} {split_name(manifest, split.name)}" for split in manifest.splits)
    shards = [shard for split in manifest.splits for shard in split.shards]
    size = sum(shard.bytes for shard in shards)
    each = size / max(manifest.samples, 1)
    lines = [
        f"{out}: {splits} samples, {counted(len(manifest.classes), 'class', 'classes')}",
        f"  {counted(len(shards), 'shard')}, {size / MEGABYTE:,.1f} MB, {each:,.0f} bytes a sample",
        f"  digest {manifest.digest}",
    ]
    return "\n".join(lines)


def split_name(manifest: Manifest, name: str) -> str:
    """The name of a split; of a validation split also what the source calls it, if that was asked for."""
    chosen = manifest.options.get("val")
    return f"{name} (the source's {chosen})" if name == VALIDATION and chosen is not None else name


def account(tally: Tally) -> list[str]:
    """Lines about the files of the source that are no samples, or not as they were, and about classes that lack any."""
    lines = []
    if tally.bad:
        lines.append(
            f"{tally.bad.total():,} of {counted(tally.images, 'image')} left out, as they do not decode: "
            f"{_by(tally.bad)}"
        )
    lines += [f"{counted(count, 'image')}: {why}" for why, count in tally.converted.most_common()]
    for why, count in tally.unused.most_common():
        files = counted(count, "file")
        more = "; --follow-links reads what those in a folder lead to" if why == SYMBOLIC else ""
        lines.append(f"{files} {why}" if why == READ else f"{files} not used: {why}{more}")
    if lines:
        lines[-1] += f" ({REPORT} names all these)"
    if tally.empty:
        lines.append(f"folders without a file, so no classes: {first_of(tally.empty, _SHOWN)}")
    lines += [f"classes without a {split} image: {first_of(names, _SHOWN)}" for split, names in tally.missing.items()]
    return [f"  {line}" for line in lines]


def _by(counts: Counter[str]) -> str:
    return first_of([f"{name} {count:,}" for name, count in counts.most_common()], _SHOWN)
