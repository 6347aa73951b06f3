"""Finds leftover files at the URL of a shard set: an abandoned prep uploaded them, and no manifest names them."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import NamedTuple

from headrace.shards import manifest as manifests
from headrace.shards.errors import UsageError
from headrace.shards.manifest import Manifest
from headrace.shards.names import MANIFEST, REPORT, STAMP, WORK
from headrace.shards.remote import AbsentError, Entry, Remote

YOUNG = timedelta(days=1)
"""Files that changed less than this time ago may belong to a running prep."""
_AT_ONCE = 1000  # files removed by one request
_OF_PREP = re.compile(r"[a-z][a-z0-9_-]{0,31}(-\d{6}\.(tar|idx)|\.parquet)")


class Leftovers(NamedTuple):
    """The old leftover files at a URL, the number of recent ones, and whether a prep is writing to the URL."""

    old: list[Entry]
    young: int
    busy: bool


def find_leftovers(remote: Remote, now: datetime) -> Leftovers:
    """The leftover files at a URL.

    Raises UsageError if there is neither a finished nor an unfinished set, DataError if the manifest is damaged.
    """
    found: Manifest | None = None
    try:
        found = manifests.parse(remote.url, remote.read(MANIFEST, manifests.LIMIT))
    except AbsentError as error:
        if next(remote.list(WORK), None) is None:
            raise UsageError(
                f"{remote.url}: neither a shard set nor an unfinished one. Give the URL of a set"
            ) from error
    return leftovers(remote.list(), found, now)


def leftovers(there: Iterable[Entry], manifest: Manifest | None, now: datetime) -> Leftovers:
    """The leftover files among the files in `there`. Only files with names that prep gives are included.

    In a set that `headrace index` made, no tar counts as a leftover: new tars may have been uploaded for the next
    `headrace index`.
    """
    named = _named(manifest) if manifest is not None else set[str]()
    adopted = manifest is not None and manifest.made is None
    own = [one for one in there if one.name not in named and _is_of_prep(one.name, adopted=adopted)]
    busy = any(one.name.startswith(f"{WORK}/") and one.modified > now - YOUNG for one in own)
    old = [] if busy else sorted(one for one in own if one.modified <= now - YOUNG)
    return Leftovers(old, len(own) - len(old), busy)


def remove(remote: Remote, files: list[Entry]) -> None:
    """Remove these files, beginning with the state of unfinished preps, on which a later prep would rely."""
    names = [one.name for one in sorted(files, key=lambda one: not one.name.startswith(f"{WORK}/"))]
    for first in range(0, len(names), _AT_ONCE):
        remote.remove(*names[first : first + _AT_ONCE])


def _named(manifest: Manifest) -> set[str]:
    tars = [shard.name for split in manifest.splits for shard in split.shards]
    indexes = [split.index.name for split in manifest.splits]
    return {MANIFEST, REPORT, STAMP, *tars, *(str(PurePosixPath(name).with_suffix(".idx")) for name in tars), *indexes}


def _is_of_prep(name: str, *, adopted: bool) -> bool:
    if name.startswith(f"{WORK}/"):
        return True
    return not adopted and (name in (REPORT, STAMP) or _OF_PREP.fullmatch(name) is not None)
