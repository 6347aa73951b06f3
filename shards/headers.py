"""One look at the headers of all images of a set, before a decoder sees any of them; a note says that it was done.

The note is an empty file in the user's private cache, so a set that lies anywhere, read-only too, is looked at once.
Its name is a hash of the set's digest and its indexes, which say where the images begin.
"""

import hashlib
import json
import os
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from headrace.shards import jpeg, store
from headrace.shards.encoded import Encoded
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.manifest import Manifest
from headrace.shards.shardset import ShardSet, Split
from headrace.shards.unsafe import why_unsafe
from headrace.shards.user_cache import private_folder

_RULE = 1  # raised when `why_unsafe` comes to refuse more: sets are then looked at again
_TOGETHER = 1024  # samples whose places are looked up at once
_FIRST, _LONGER = 4 << 10, 128 << 10  # bytes read of an image: most headers end there, those with a thumbnail here


def refuse_unsafe(shards: ShardSet) -> None:
    """Raise DataError for the first image that must not be decoded. Costs nothing where the set's note exists."""
    note = _note(shards.manifest)
    if note is not None and note.exists():
        return
    for name in shards.split_names:
        with closing(shards.split(name)) as split:
            _look(split)
    remember(shards.manifest)


def remember(manifest: Manifest) -> None:
    """Note that no image of this set is unsafe, where there is a place for it."""
    note = _note(manifest)
    if note is not None:
        with suppress(HeadraceError):  # a full disk, say: the next run looks again
            store.write_bytes(note, b"")


def _note(manifest: Manifest) -> Path | None:
    folder = private_folder("headers")
    content = [_RULE, manifest.digest, [split.index.sha256 for split in manifest.splits]]
    return folder / hashlib.sha256(json.dumps(content).encode()).hexdigest() if folder else None


def _look(split: Split) -> None:
    for first in range(0, len(split), _TOGETHER):
        ids = np.arange(first, min(first + _TOGETHER, len(split)))
        places = split.places(ids)
        columns = (column.tolist() for column in (ids, places.descriptors, places.offsets, places.sizes))
        for sample_id, *place in zip(*columns, strict=True):
            fault = why_unsafe_at(*place)
            if fault:
                split.jpegs(np.array([sample_id]))  # raises where it is damage, which has another remedy
                raise unsafe(split, sample_id, fault)


def unsafe(source: Encoded, sample_id: int, fault: str) -> DataError:
    """The user's error for a sample that `why_unsafe` finds fault with."""
    return DataError(
        f"{source.describe(sample_id)}: the image does not decode safely: it has {fault}. Find all such samples with "
        "`headrace verify` on the shard set"
    )


def why_unsafe_at(descriptor: int, offset: int, size: int) -> str:
    """`why_unsafe` of an image in a tar, of which no more is read than the headers of a JPEG."""
    for length in (_FIRST, _LONGER):
        data = os.pread(descriptor, min(size, length), offset)
        if size <= length or data[:2] != jpeg.START:
            break
        fault = jpeg.read_headers(data).fault
        if fault != jpeg.CUT:
            return fault
    return why_unsafe(data if size <= len(data) else os.pread(descriptor, size, offset))
