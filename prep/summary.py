"""Formats the summary that prep prints at its end."""

from collections import Counter

from headrace.prep.command.options import MEGABYTE
from headrace.prep.convert import Result
from headrace.prep.make.tally import Tally
from headrace.prep.sources.files import READ, SYMBOLIC
from headrace.shards.counts import counted, first_of
from headrace.shards.manifest import VALIDATION, Manifest
from headrace.shards.names import REPORT
from headrace.shards.urls import Location

_SHOWN = 20  # names in a line


def summary(result: Result, out: Location) -> str:
    """The summary as text: the contents of the set, and how it was made."""
    manifest = result.manifest
    if result.reused:
        end = f"  reused: it was made before from the same source with the same options ({result.seconds:.2f} s)"
    elif result.added is not None:
        nothing = "nothing appended: SOURCE has no usable image that the set lacks"
        what = f"{counted(result.added, 'sample')} appended" if result.added else nothing
        end = f"  {what} ({result.seconds:.1f} s)"
    else:
        end = (
            f"  made in {result.seconds:.1f} s, {manifest.samples / result.seconds:,.0f} images/s, every image decoded"
        )
    return "\n".join([contents(manifest, out), *account(result.tally, reported=result.added != 0), end])


def contents(manifest: Manifest, out: Location) -> str:
    """The contents of a set as text."""
    splits = ", ".join(f"{split.samples:,} {split_name(manifest, split.name)}" for split in manifest.splits)
    shards = [shard for split in manifest.splits for shard in split.shards]
    size = sum(shard.bytes for shard in shards)
    each = size / max(manifest.samples, 1)
    parts = f" in {len(manifest.parts)} parts" if manifest.appended else ""
    lines = [
        f"{out}: {splits} samples, {counted(len(manifest.classes), 'class', 'classes')}{parts}",
        f"  {counted(len(shards), 'shard')}, {size / MEGABYTE:,.1f} MB, {each:,.0f} bytes a sample",
        f"  digest {manifest.digest}",
    ]
    return "\n".join(lines)


def split_name(manifest: Manifest, name: str) -> str:
    """The name of a split for output. If --val chose the validation split, the split's name in the source is added."""
    chosen = manifest.options.get("val")
    return f"{name} (the source's {chosen})" if name == VALIDATION and chosen is not None else name


def account(tally: Tally, *, reported: bool = True) -> list[str]:
    """Lines about files of the source that are not samples or were changed, and about classes without samples.

    `reported` says whether report.jsonl names the files.
    """
    lines = []
    if tally.bad:
        lines.append(
            f"{tally.bad.total():,} of {counted(tally.images, 'image')} omitted because they do not decode: "
            f"{_by(tally.bad)}"
        )
    lines += [f"{counted(count, 'image')}: {why}" for why, count in tally.converted.most_common()]
    for why, count in tally.unused.most_common():
        files = counted(count, "file")
        more = "; --follow-links reads the targets of links in a folder" if why == SYMBOLIC else ""
        lines.append(f"{files} {why}" if why == READ else f"{files} not used: {why}{more}")
    if lines and reported:
        lines[-1] += f" ({REPORT} names all these)"
    if tally.empty:
        lines.append(f"folders without files, which are not classes: {first_of(tally.empty, _SHOWN)}")
    lines += [f"classes without a {split} image: {first_of(names, _SHOWN)}" for split, names in tally.missing.items()]
    return [f"  {line}" for line in lines]


def _by(counts: Counter[str]) -> str:
    return first_of([f"{name} {count:,}" for name, count in counts.most_common()], _SHOWN)
