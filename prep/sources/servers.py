"""Reads whole files at URLs that a program or a listing names, one file at a time."""

from threading import Lock

from headrace.prep.sources.bucket import split_url
from headrace.prep.sources.file_at import RemoteFile
from headrace.shards.errors import DataError, UsageError
from headrace.shards.remote import Remote
from headrace.shards.urls import Url


class Servers:
    """Reads files at any URLs, with one connection for each bucket or server. Threads may share this object."""

    def __init__(self) -> None:
        self._stores: dict[str, Remote] = {}
        self._lock = Lock()

    def read(self, path: str, most: int) -> bytes:
        """The bytes of the file at a URL, which may have at most `most` bytes.

        Raises DataError if the file does not exist or may not be read, or if `path` is not a valid URL. Raises
        HeadraceError if a server fails.
        """
        try:
            store, name = self._place(path)
            return store.read(name, most)
        except UsageError as error:
            raise DataError(str(error)) from error

    def _place(self, path: str) -> tuple[Remote, str]:
        """The store that holds a file, and the name of the file in this store.

        All files of a bucket or server share one store. A URL with a query has a separate store, because a query is
        valid for one file only.
        """
        url = Url(path)
        if url.parts.query:
            one = RemoteFile(url)
            return one.store, one.name
        root, name = split_url(path)
        with self._lock:
            if root not in self._stores:
                self._stores[root] = Remote(Url(root))
            return self._stores[root], name


def shown(path: str) -> str:
    """The URL of a file as output shows it: without the query and the user name, which may be secret.

    `path` may be an invalid URL.
    """
    try:
        return str(Url(path))
    except UsageError:
        return path.partition("?")[0].rpartition("@")[2]
