"""Reads a source of plain files below a URL of object storage; the files are found by listing the URL."""

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import numpy as np

from headrace.prep.sources.file_at import nanoseconds
from headrace.prep.sources.files import CHUNK, MAX_FILE_BYTES, UNKNOWN_CRC, Entry, FileTable, LeftOut, changed, leads_to
from headrace.shards.remote import AbsentError, Remote
from headrace.shards.urls import Location, Url, is_url


class BucketFiles:
    """The files below a URL of object storage."""

    def __init__(self, root: Url) -> None:
        self.root: Location = root
        self._url = root
        self.left_out: LeftOut = []
        self.empty: list[str] = []
        self._found: FileTable | None = None
        self._stamped = False

    def stamp(self) -> str:
        """A hash of the paths, sizes and times of all files.

        The first call uses the list of files that an earlier call of `table` has made, if there was one. Every other
        call lists the files again.
        """
        table = self._list() if self._found is None or self._stamped else self._found
        self._found, self._stamped = table, True
        state = hashlib.sha256()
        for path, size, time in zip(table.paths, table.sizes.tolist(), table.times.tolist(), strict=True):
            state.update(f"{path}\0{size}\0{time}\n".encode("utf-8", "surrogateescape"))
        return state.hexdigest()

    def table(self) -> FileTable:
        """All files as they were last listed; if they were not listed before, they are listed now."""
        if self._found is None:
            self._found = self._list()
        return self._found

    def _list(self) -> FileTable:
        """List all files, sorted by path, without the empty objects that storage consoles create for folders."""
        found = sorted(Remote(self._url).list())
        names = [one.name for one in found]
        kept = [one for one in found if one.bytes or not leads_to(f"{one.name}/", names)]
        sizes = np.array([one.bytes for one in kept], np.int64)
        times = np.array([nanoseconds(one.modified) for one in kept], np.int64)
        nothing, crcs = np.zeros(len(kept), np.int64), np.full(len(kept), UNKNOWN_CRC, np.int64)
        return FileTable([one.name for one in kept], sizes, crcs, nothing, sizes, nothing, times)

    def reader(self, prefix: str) -> "UrlReader":
        """A reader of files below `prefix`."""
        return UrlReader(self._url, prefix)

    def unpack(self) -> None:
        """Do nothing: files are read in place."""

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class UrlReader:
    """Reads files below a URL; if the path of an entry is a URL itself, reads the file at that URL.

    Each file is read with one request.
    """

    def __init__(self, root: Location, prefix: str) -> None:
        self._root, self.prefix = root, prefix
        self._stores: dict[str, Remote] = {}

    def is_remote(self, _: str) -> bool:
        """Return True: all files are at URLs."""
        return True

    def read(self, entry: Entry) -> bytes:
        """The bytes of the file. Raises DataError if the file's size differs from the size in the table."""
        if entry.size > MAX_FILE_BYTES:
            raise changed(self._root, entry.path, f"the file has {entry.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        return b"".join(self._parts(entry))

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of the file in several pieces."""
        for piece in self._parts(entry):
            yield from (bytes(piece[at : at + CHUNK]) for at in range(0, len(piece), CHUNK))

    def start(self, entry: Entry, size: int) -> bytes:
        """The first bytes of the file."""
        store, name = self._place(entry)
        try:
            return store.range(name, 0, min(size, entry.size))
        except AbsentError as error:
            raise self._gone(entry) from error

    def time(self, entry: Entry) -> int:
        """The time of the file's last change in nanoseconds, as the server listed it."""
        return entry.time

    def _parts(self, entry: Entry) -> Iterator[memoryview]:
        store, name = self._place(entry)
        left = entry.size
        try:
            for piece in store.stream(name):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        except AbsentError as error:
            raise self._gone(entry) from error
        if left:
            raise changed(self._root, entry.path, f"the file's size is not the expected {entry.size:,} bytes")

    def _gone(self, entry: Entry) -> Exception:
        return changed(self._root, entry.path, "it is missing, but existed when prep began")

    def _place(self, entry: Entry) -> tuple[Remote, str]:
        """The store that holds the file, and the name of the file in this store."""
        if is_url(entry.path):
            bucket, name = split_url(entry.path)
            return self._store(bucket), name
        where = self._root.text if isinstance(self._root, Url) else ""
        return self._store(where), self.prefix + entry.path

    def _store(self, url: str) -> Remote:
        if url not in self._stores:
            self._stores[url] = Remote(Url(url))
        return self._stores[url]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stores": {}}


def split_url(path: str) -> tuple[str, str]:
    """Split the URL of a file into the URL of its bucket or server, and the file's name below that URL."""
    scheme, _, rest = path.partition("://")
    host, _, name = rest.partition("/")
    return f"{scheme}://{host}", unquote(name)
