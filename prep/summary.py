"""What prep says at its end."""

from pathlib import Path

from headrace.prep.command.options import MEGABYTE
from headrace.prep.convert import Result
from headrace.shards.manifest import Manifest
from headrace.shards.names import REPORT


def summary(result: Result, out: Path) -> str:
    """What the set consists of, and how it came about."""
    manifest = result.manifest
    if result.reused:
        end = f"  reused: made before from the same source with the same options ({result.seconds:.2f} s)"
    else:
        end = (
            f"  made in {result.seconds:.1f} s, {manifest.samples / result.seconds:,.0f} images/s, every image decoded"
        )
    unused = [f"  {count:,} not used, each {why}; {REPORT} names them" for why, count in result.unused.items()]
    return "\n".join([contents(manifest, out), *unused, end])


def contents(manifest: Manifest, out: Path) -> str:
    """What a set consists of."""
    splits = ", ".join(f"{split.samples:,} {split.name}" for split in manifest.splits)
    shards = [shard for split in manifest.splits for shard in split.shards]
    size = sum(shard.bytes for shard in shards)
    lines = [
        f"{out}: {splits} samples, {len(manifest.classes):,} classes",
        f"  {len(shards):,} shards, {size / MEGABYTE:,.1f} MB, {size / max(manifest.samples, 1):,.0f} bytes a sample",
        f"  digest {manifest.digest}",
    ]
    return "\n".join(lines)
