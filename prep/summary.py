"""What prep says at its end."""

from pathlib import Path

from prep.convert import Result
from prep.options import MEGABYTE


def summary(result: Result, out: Path) -> str:
    """A few lines: samples, classes, shards, bytes, seconds, and the next command."""
    manifest = result.manifest
    splits = ", ".join(f"{split.samples:,} {split.name}" for split in manifest.splits)
    shards = [shard for split in manifest.splits for shard in split.shards]
    size = sum(shard.bytes for shard in shards)
    lines = [
        f"{out}: {splits} samples, {len(manifest.classes):,} classes",
        f"  {len(shards):,} shards, {size / MEGABYTE:,.1f} MB, {size / max(manifest.samples, 1):,.0f} bytes a sample",
        f"  digest {manifest.digest}",
    ]
    if result.reused:
        lines.append(f"  reused: made before from the same source with the same options ({result.seconds:.2f} s)")
    else:
        lines.append(
            f"  made in {result.seconds:.1f} s, {manifest.samples / result.seconds:,.0f} images/s, every image decoded"
        )
    return "\n".join(lines)
