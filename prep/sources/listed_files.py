"""Finds and reads the files that a listing names, on a disk or at URLs.

The size of a file at a URL comes from the column `bytes` of the listing. Without that column, the bucket's folder that
contains all these files is listed once; sizes are never requested one by one. A web server cannot list its files, so a
listing of files on a web server needs the column `bytes`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from headrace.prep.sources.bucket import UrlReader, split_url
from headrace.prep.sources.file_at import nanoseconds
from headrace.prep.sources.files import Entry
from headrace.prep.sources.folder import FolderReader
from headrace.prep.sources.listing_rows import Item
from headrace.prep.sources.paths import LEADS_OUT, stat_listed
from headrace.shards.errors import DataError, UsageError
from headrace.shards.remote import Remote
from headrace.shards.urls import OF_BUCKETS, Location, Url, is_url

_FOLDERS = 4096  # folders whose real paths one pass over a listing remembers
Items = Callable[[], Iterator[Item]]
"""A function that reads the listing from its beginning and yields all rows."""


class Seen(NamedTuple):
    """A file's size in bytes, and the time of its last change in nanoseconds (0 if the size comes from the listing)."""

    bytes: int
    time: int


class States:
    """Finds size and time of the files that a listing in `folder` names, during one pass over its rows."""

    def __init__(self, folder: Location, items: Items, *, follow: bool) -> None:
        self._folder, self._items, self._follow = folder, items, follow
        self._real = lru_cache(_FOLDERS)(os.path.realpath)
        self._listed: dict[str, dict[str, Seen]] = {}  # by bucket and name

    def of(self, item: Item) -> Seen:
        """Size and time of the file that a row names.

        Raises DataError for an unusable file; the message is only the reason.
        """
        url = _url_of(self._folder, item.path)
        if url is None and isinstance(self._folder, Path):
            found = stat_listed(self._folder, item.path, follow=self._follow, real=self._real)
            return Seen(found.st_size, found.st_mtime_ns)
        bucket, name = split_url(url or "")
        if item.bytes:
            if not item.bytes.isdecimal():
                raise DataError(f"the size {item.bytes[:20]!r} in the listing is not a number of bytes")
            return Seen(int(item.bytes), 0)
        if not bucket.startswith(OF_BUCKETS):
            raise DataError("the size of a file on a web server must be given: add a column `bytes` to the listing")
        if not self._listed:
            self._listed = self._list()
        seen = self._listed[bucket].get(name)
        if seen is None:
            raise DataError("no such file")
        return seen

    def _list(self) -> dict[str, dict[str, Seen]]:
        """Return size and time of the files in rows without a size, by bucket and file name.

        In each bucket, the deepest folder that contains all these files is listed. Rows with an unusable URL are
        omitted; `of` raises an error when it is called with such a row.
        """
        folders: dict[str, str] = {}
        for item in self._items():
            url = None
            with suppress(DataError):
                url = None if item.bytes else _url_of(self._folder, item.path)
            if url is not None:
                bucket, name = split_url(url)
                folder = name.rpartition("/")[0]
                folders[bucket] = common_folder(folders.get(bucket, folder), folder)
        return {
            bucket: {one.name: Seen(one.bytes, nanoseconds(one.modified)) for one in Remote(Url(bucket)).list(folder)}
            for bucket, folder in folders.items()
            if bucket.startswith(OF_BUCKETS)
        }


def common_folder(one: str, other: str) -> str:
    """The deepest folder that contains the two folders."""
    if one == other:
        return one
    parts = zip(one.split("/"), other.split("/"), strict=False)
    same = []
    for mine, theirs in parts:
        if mine != theirs:
            break
        same.append(mine)
    return "/".join(same)


def _url_of(folder: Location, path: str) -> str | None:
    """The URL of a file that a listing in `folder` names; None for a file on a disk.

    Raises DataError if the URL cannot be used.
    """
    if is_url(path):
        try:
            url = Url(path)
        except UsageError as error:
            raise DataError(str(error)) from error
        if url.parts.query or url.parts.fragment:
            raise DataError(
                "a URL with a query or fragment is refused, because that part may be secret but would be in the set"
            )
        return path
    if isinstance(folder, Path):
        return None
    if path.startswith("/") or ".." in path.split("/"):
        raise DataError(LEADS_OUT)
    return (folder / path).text


def listed_reader(folder: Location, prefix: str, *, follow: bool) -> "UrlReader | ListedReader":
    """A reader of the files that a listing in `folder` names."""
    return UrlReader(folder, prefix) if isinstance(folder, Url) else ListedReader(folder, prefix, follow=follow)


class ListedReader(FolderReader):
    """Reads files below a folder; if the path of an entry is a URL, reads the file at that URL."""

    def __init__(self, root: Path, prefix: str, *, follow: bool = False) -> None:
        super().__init__(root, prefix, follow=follow)
        self._remote = UrlReader(root, prefix)

    def is_remote(self, path: str) -> bool:
        """Whether the file is at a URL."""
        return is_url(path)

    def read(self, entry: Entry) -> bytes:
        """The bytes of the file."""
        return self._remote.read(entry) if is_url(entry.path) else super().read(entry)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of the file in several pieces."""
        return self._remote.chunks(entry) if is_url(entry.path) else super().chunks(entry)

    def start(self, entry: Entry, size: int) -> bytes:
        """The first bytes of the file."""
        return self._remote.start(entry, size) if is_url(entry.path) else super().start(entry, size)

    def time(self, entry: Entry) -> int:
        """The time of the file's last change in nanoseconds."""
        return self._remote.time(entry) if is_url(entry.path) else super().time(entry)
