"""Checks that a disk has enough free space for files that are about to be written."""

from pathlib import Path

from headrace.shards import store
from headrace.shards.errors import HeadraceError


def refuse_small_disk(path: Path, needed: int) -> None:
    """Raise HeadraceError if fewer than `needed` bytes are free on the disk of `path`."""
    free = store.free_bytes(path)
    if free < needed:
        raise HeadraceError(
            f"{path}: {free:,} bytes are free there, but about {needed:,} are needed. Free some space or choose "
            "another disk"
        )
