"""The location of a shard set: a folder or a URL. Messages show a URL without its secrets."""

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from headrace.shards.errors import UsageError

_MARK = "://"
_USER = re.compile(r"//.*@", re.DOTALL)  # everything that may be a name or a password, if their end is unclear
OF_BUCKETS = ("s3", "gs", "az")
"""The schemes of object storage.

All other accepted schemes are those of web servers, whose files can be read but not listed.
"""
_OF_SERVERS = ("https", "http")


class Url:
    """A URL of a shard set, or of a file in one.

    Its `str` may be printed and stored: it contains no user, password or query.
    """

    def __init__(self, text: str) -> None:
        """Parse the text. Raises UsageError for a URL that cannot be used."""
        self.text = text
        try:
            self.parts = urlsplit(text)
            port = self.parts.port
        except ValueError:  # its message may hold a part of a password
            raise UsageError(
                f"{_stripped(text)}: not a URL. Give a URL such as s3://bucket/set or https://server:8080/set"
            ) from None
        self.shown = urlunsplit((self.parts.scheme, self._server(port), self.parts.path.rstrip("/"), "", ""))
        if self.parts.scheme not in (*OF_BUCKETS, *_OF_SERVERS):
            raise UsageError(f"{self}: expected a folder, or a URL of s3://, gs://, az:// or https://")
        if not self.parts.hostname:
            raise UsageError(
                f"{self.parts.scheme}://: no bucket or server in this URL. Give a URL such as s3://bucket/set"
            )
        if self.parts.username or self.parts.password:
            raise UsageError(
                f"{self}: a user name or password in a URL is visible to others, so it is refused. "
                "Give credentials in the environment (docs/storage.md)"
            )
        if self.in_bucket and (self.parts.query or self.parts.fragment):
            raise UsageError(
                f"{self}: a URL of object storage must not contain ? or #. Write %3F or %23 for such a character"
            )

    def _server(self, port: int | None) -> str:
        host = self.parts.hostname or ""
        return f"{f'[{host}]' if ':' in host else self._cased(host)}{'' if port is None else f':{port}'}"

    def _cased(self, host: str) -> str:
        """The name of the host or bucket as the user wrote it: upper and lower case may matter in names of buckets."""
        written = self.parts.netloc.rpartition("@")[2]
        return written[: len(host)] if written.lower().startswith(host) else host

    @property
    def in_bucket(self) -> bool:
        """Whether the URL belongs to object storage and not to a web server."""
        return self.parts.scheme in OF_BUCKETS

    @property
    def name(self) -> str:
        """The last part of the path, or the server if there is no path."""
        return unquote(self.parts.path.rstrip("/").rpartition("/")[2]) or (self.parts.hostname or "")

    def __truediv__(self, name: str) -> "Url":
        """The URL of the file `name` below this URL."""
        path = f"{self.parts.path.rstrip('/')}/{quote(name)}"
        return Url(urlunsplit(self.parts._replace(path=path)))

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Url({self.shown!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def is_url(word: str) -> bool:
    """Whether a word is meant as a URL, because it contains `://`."""
    return _MARK in word


def without_secrets(word: str) -> str:
    """A path or a URL as messages show it: a path is unchanged; a URL, valid or not, loses user, query and fragment."""
    if not is_url(word):
        return word
    try:
        return str(Url(word))
    except UsageError:
        return _stripped(word)


def _stripped(text: str) -> str:
    """The text of an invalid URL without anything that may be a user, a password, a query or a fragment."""
    return re.split("[?#]", _USER.sub("//", text), maxsplit=1)[0]


Location = Path | Url
"""A folder or a URL."""


def location(where: "str | Path | Url") -> Location:
    """The location that a user gave: a URL if it contains `://`, else a folder. Raises UsageError."""
    if isinstance(where, str):
        return Url(where) if is_url(where) else Path(where)
    return where
