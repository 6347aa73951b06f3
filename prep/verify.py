"""`headrace verify`: the checks of `headrace.shards.verify`, with the decoder that admitted the images."""

import time
from pathlib import Path

from headrace.prep.command.progress import Say, progress
from headrace.prep.images.admit import sides
from headrace.shards.cores import usable_cores
from headrace.shards.errors import DataError
from headrace.shards.manifest import load
from headrace.shards.verify import verify


def check(root: Path, *, deep: bool, say: Say) -> str:
    """Say each problem, then raise if there was one; else the closing line."""
    began = time.monotonic()
    with progress(load(root).samples, "verify") as report:
        found = verify(root, decode=sides if deep else None, threads=usable_cores(), progress=report)
    for problem in found.problems:
        say(problem)
    if found.problems:
        what = "1 problem" if len(found.problems) == 1 else f"{len(found.problems):,} problems"
        raise DataError(f"{root}: {what}, listed above. It must not be trained on as it is. {found.remedy}")
    shards = [shard for split in found.manifest.splits for shard in split.shards]
    what = "sizes, SHA-256, index against tars" + (", every image decoded" if deep else "")
    return (
        f"{root}: sound. {found.manifest.samples:,} samples in {len(shards):,} shards, "
        f"{sum(shard.bytes for shard in shards):,} bytes: {what} ({time.monotonic() - began:.1f} s)"
    )
