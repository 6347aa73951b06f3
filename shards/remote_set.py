"""A shard set at a URL: manifest and indexes are fetched and kept on this host, tars are staged when needed."""

import hashlib
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headrace.shards import manifest, store
from headrace.shards.columns import Columns
from headrace.shards.download import File, fetch
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import Manifest, SplitInfo
from headrace.shards.names import MANIFEST, SOURCE_URL
from headrace.shards.remote import AbsentError, Remote
from headrace.shards.stage import Hold, Stage
from headrace.shards.staging import Depot, StagedTars
from headrace.shards.unsafe import RULE, why_unsafe_at
from headrace.shards.urls import Url

_AT_FIRST = timedelta(seconds=30)  # limit for the first contact with a server, whose name may be misspelt


class RemoteSet(NamedTuple):
    """A set whose manifest and indexes are in the folder `root`.

    While the set is in use, `hold` prevents the eviction of its staged tars.
    """

    url: Url
    root: Path
    manifest: Manifest
    depot: Depot
    hold: Hold

    @classmethod
    def open(cls, url: Url, stage: Stage) -> "RemoteSet":
        """Open the set at a URL. Raises UsageError if there is no set, DataError if the set is damaged."""
        remote, (content, found) = Remote(url), read_manifest(url)
        of_set = stage.set_folder(found.digest)
        folder, hold = of_set / hashlib.sha256(content).hexdigest()[:16], stage.hold(of_set)
        store.make_folder(folder)
        for split in found.splits:
            index = split.index
            fetch(remote, File(index.name, index.bytes, index.sha256), folder / index.name)
        if not (folder / MANIFEST).exists():
            store.write_bytes(folder / SOURCE_URL, f"{url}\n".encode())
            store.write_bytes(folder / MANIFEST, content)
        return cls(url, folder, found, Depot(remote, stage, found.digest, found.splits), hold)

    def tars(self, split: SplitInfo, columns: Columns) -> StagedTars:
        """The tars of one split; `columns` gives the positions of the images."""
        return StagedTars(self.depot, split, FirstLook(self, split, columns))


def read_manifest(url: Url) -> tuple[bytes, Manifest]:
    """The manifest of the set at a URL, raw and parsed.

    Raises UsageError if there is no manifest, DataError if it is damaged.
    """
    try:
        content = Remote(url, _AT_FIRST).read(MANIFEST, manifest.LIMIT)
    except AbsentError as error:
        raise UsageError(
            f"{url}: no {MANIFEST} there, so this is not a finished shard set. Give the URL of a folder with this file"
        ) from error
    return content, manifest.parse(url, content)


class FirstLook:
    """Checks the headers of all images in a staged tar before a decoder sees any image.

    Each tar is checked once per host.
    """

    def __init__(self, found: RemoteSet, split: SplitInfo, columns: Columns) -> None:
        self._set, self._split, self._columns = found, split, columns
        self._ends = np.cumsum([shard.samples for shard in split.shards], dtype=np.int64)

    def __call__(self, number: int, descriptor: int) -> None:
        """Raise DataError for the first image that must not be decoded."""
        note = self._set.root / f"{self._split.name}-{number}.looked-{RULE}"
        if note.exists():
            return
        shard = self._split.shards[number]
        mine = slice(int(self._ends[number]) - shard.samples, int(self._ends[number]))
        for place in zip(self._columns.offsets[mine].tolist(), self._columns.sizes[mine].tolist(), strict=True):
            if fault := why_unsafe_at(descriptor, *place):
                raise DataError(
                    f"{self._set.url / shard.name}: the image at byte {place[0]:,} cannot be decoded safely: it has "
                    f"{fault}. Find all such samples with `headrace verify {self._set.url}`"
                )
        with suppress(OSError):  # such as a full disk: the next process checks again
            note.touch()
