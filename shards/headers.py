"""Checks the headers of all images of a set once, before a decoder sees any image, and records the check in a note.

The note is an empty file in the user's private cache folder, so that even a read-only set is checked only once. The
name of the note depends on the set's digest and on the hashes of its indexes, so a changed set is checked again.
"""

import hashlib
import json
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from headrace.shards import store
from headrace.shards.encoded import Encoded
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.manifest import Manifest
from headrace.shards.shardset import ShardSet, Split
from headrace.shards.unsafe import RULE, why_unsafe_at
from headrace.shards.user_cache import private_folder

_TOGETHER = 1024  # samples whose offsets are looked up at once


def refuse_unsafe(shards: ShardSet) -> None:
    """Raise DataError for the first image that must not be decoded. Reads no image if the set's note exists.

    A set at a URL is not checked here: the images of a tar are checked when the staged tar is opened.
    """
    if shards.remote is not None or remembered(shards.manifest):
        return
    for name in shards.split_names:
        with closing(shards.split(name)) as split:
            _look(split)
    remember(shards.manifest)


def remembered(manifest: Manifest) -> bool:
    """Whether a note records that every image of this set may be decoded."""
    note = _note(manifest)
    return note is not None and note.exists()


def remember(manifest: Manifest) -> None:
    """Write the note that every image of this set may be decoded, if the user has a private cache folder."""
    note = _note(manifest)
    if note is not None:
        with suppress(HeadraceError):  # such as a full disk: the next run checks again
            store.write_bytes(note, b"")


def _note(manifest: Manifest) -> Path | None:
    folder = private_folder("headers")
    content = [RULE, manifest.digest, [split.index.sha256 for split in manifest.splits]]
    return folder / hashlib.sha256(json.dumps(content).encode()).hexdigest() if folder else None


def _look(split: Split) -> None:
    for first in range(0, len(split), _TOGETHER):
        ids = np.arange(first, min(first + _TOGETHER, len(split)))
        places = split.places(ids)
        columns = (column.tolist() for column in (ids, places.descriptors, places.offsets, places.sizes))
        for sample_id, *place in zip(*columns, strict=True):
            fault = why_unsafe_at(*place)
            if fault:
                split.jpegs(np.array([sample_id]))  # raises if the bytes are damaged, which has another remedy
                raise unsafe(split, sample_id, fault)


def unsafe(source: Encoded, sample_id: int, fault: str) -> DataError:
    """The error about a sample whose image must not be decoded; `fault` is the result of `why_unsafe`."""
    return DataError(
        f"{source.describe(sample_id)}: the image cannot be decoded safely: it has {fault}. Find all such samples with "
        "`headrace verify` on the shard set"
    )
