"""Describes what changed in a source since a set was made from it."""

import json
from pathlib import Path

from headrace.prep.sources.source import State
from headrace.shards import index, regular
from headrace.shards.manifest import Manifest
from headrace.shards.names import REPORT


def changes(folder: Path, manifest: Manifest, now: list[State]) -> str:
    """Return, as text, how the source's images `now` (path, size, CRC-32) differ from those when the set was made.

    `folder` has the set's indexes. The change of an image that the set omits is not found, because report.jsonl
    has only the path of this image.
    """
    before: dict[str, tuple[int, int]] = {}
    for split in manifest.splits:
        columns = index.read_texts(folder, split.index, ("source", "source_size", "source_crc32"))
        before |= zip(columns["source"], zip(columns["source_size"], columns["source_crc32"], strict=True), strict=True)
    after = {path: (size, crc) for path, size, crc in now}
    parts = {
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(path for path in before.keys() & after.keys() if before[path] != after[path]),
        "added": sorted(after.keys() - before.keys() - _left_out(folder)),
    }
    said = [f"{len(paths):,} {what} (first {paths[0]})" for what, paths in parts.items() if paths]
    return ", ".join(said) or "the files with labels and class names, or images that were omitted"


def _left_out(folder: Path) -> set[str]:
    """Return the paths of source files that report.jsonl lists; empty if the report is missing or unreadable."""
    try:
        with regular.opened(folder / REPORT) as stream:
            return {json.loads(line)["source"] for line in stream}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
