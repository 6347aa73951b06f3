"""Reads and writes files in object storage and on web servers, and explains their errors.

No other module uses obstore, which is optional (`pip install "headrace[cloud]"`). obstore itself reads credentials,
endpoints and regions from the environment.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.urls import Url

_RETRIES, _PATIENCE = 30, timedelta(minutes=5)  # obstore's default of 10 retries ends after 2 s of HTTP 503
# Limits for the time without a byte, and for the time of one request.
_TIMES = {"read_timeout": timedelta(seconds=20), "timeout": timedelta(hours=1)}
_CHUNK = 1 << 18  # bytes per piece: a killed process loses at most this much of each tar
_CONNECTION = (
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only", "http2_only", "pool_idle_timeout"),
    *("pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url", "read_timeout"),
    *("root_certificate", "timeout", "user_agent"),
)
"""Connection options of obstore; the environment variables are AWS_, AZURE_ or GOOGLE_ with the name in capitals."""
_PROFILE = "AWS_PROFILE"
_ASKED_AGAIN = timedelta(minutes=5)  # between requests to boto3, which renews credentials 10 minutes before they expire
_EXPIRED = ("ExpiredToken", "RequestExpired", "TokenRefreshRequired")
"""S3's codes for expired credentials; their HTTP status is 400, as for a bad request."""
_INVALID = "InvalidToken"
"""S3's code for a session token that is mistyped or belongs to other keys; its HTTP status is 400 too."""
_DENIED = ("HTTP 401", "HTTP 403")
_SMALL = 1 << 30  # largest size in bytes of a file that is read whole
_CLOUD, _AWS = "pip install 'headrace[cloud]'", "pip install 'headrace[aws]'"
_QUERY, _USER = re.compile(r"\?[^\s\"'<>|)]*"), re.compile(r"//[^/\s@]*@")
_STATUS, _CODE = re.compile(r"status code: (\d{3}[ A-Za-z-]*)"), re.compile(r"<Code>(\w{1,64})</Code>")
_CAUSES = (
    ("timed out", "timed out"),
    ("Connection refused", "connection refused"),
    ("dns error", "the server's name cannot be resolved"),
    ("InvalidCertificate", "the server's certificate is not trusted"),
    ("IncompleteMessage", "the connection was closed"),
    ("error sending request", "the server cannot be reached"),
)


class AbsentError(UsageError):
    """There is no file with this name."""


class NoRangesError(HeadraceError):
    """A server can only send whole files."""


class BrokenError(HeadraceError):
    """A server or the connection to it failed, and failed again on retries."""


class BeyondError(HeadraceError):
    """The file ends before the requested byte."""


Tag = Mapping[str, str]
"""Identifies one version of a file in storage, for a conditional upload."""


class Entry(NamedTuple):
    """A file in a listing."""

    name: str  # relative to the listed URL
    bytes: int
    modified: datetime


class Remote:
    """The files below a URL. Threads may share this object; a process that was forked later must not use it.

    All methods raise UsageError for a file that does not exist or may not be read, and HeadraceError for errors that
    remain after all retries.
    """

    def __init__(self, url: Url, patience: timedelta = _PATIENCE) -> None:
        """Prepare access to the URL; no server is contacted yet. Failed requests are retried for the time `patience`.

        Raises UsageError if obstore is not installed, or does not accept the URL.
        """
        self.url = url
        self._obstore = _obstore(url)
        self._process = os.getpid()
        try:
            self._store = _store_of(url, patience)
        except ValueError as error:
            raise _refusal(url, error) from _harmless(error)
        except _errors() as error:
            raise _refusal(url, error) from _harmless(error)

    def read(self, name: str, most: int) -> bytes:
        """Read a small file. Raises DataError if it has more than `most` bytes."""
        return self.read_tagged(name, most)[0]

    def read_tagged(self, name: str, most: int) -> tuple[bytes, Tag]:
        """Read a small file; return its bytes and the tag of this version."""
        with self._asking(name):
            found = self._obstore.get(self._store, name)
            if found.meta["size"] > most:
                raise DataError(f"{self.url / name}: it has {found.meta['size']:,} bytes, expected at most {most:,}")
            tag = {key: found.meta[key] for key in ("e_tag", "version") if found.meta.get(key)}
            return bytes(found.bytes()), tag

    def size(self, name: str) -> int:
        """The size of a file in bytes."""
        with self._asking(name):
            return int(self._obstore.head(self._store, name)["size"])

    def entry(self, name: str) -> Entry:
        """The entry of a file, as in a listing."""
        with self._asking(name):
            return _entry(self._obstore.head(self._store, name))

    def range(self, name: str, first: int, size: int) -> bytes:
        """At most `size` bytes of a file from `first` on; fewer if the file ends earlier.

        Raises NoRangesError if the server only sends whole files, BeyondError if the file has no byte at `first`.
        """
        with self._asking(name):
            return bytes(self._obstore.get_range(self._store, name, start=first, length=size)) if size else b""

    def stream(self, name: str, first: int = 0) -> Iterator[memoryview]:
        """The bytes of a file from `first` on, in pieces. Raises NoRangesError if the server only sends whole files."""
        options = {"range": {"offset": first}} if first else {}
        with self._asking(name):
            for piece in self._obstore.get(self._store, name, options=options).stream(min_chunk_size=_CHUNK):
                yield memoryview(piece)

    def download(self, name: str, stream: BinaryIO, first: int = 0) -> None:
        """Write the bytes of a file from `first` on to `stream`."""
        stream.writelines(self.stream(name, first))

    def put(self, name: str, content: Path | bytes) -> None:
        """Upload a file, or bytes as a file. Large files are sent in parts and appear once they are complete."""
        with self._asking(name):
            self._obstore.put(self._store, name, content)

    def create(self, name: str, data: bytes) -> bool:
        """Upload a small file unless a file with this name exists; return whether the stored file now has these bytes.

        Some servers overwrite an existing file anyway, so the file is read before the upload and again after it.
        """
        with suppress(AbsentError), self._asking(name):
            return bytes(self._obstore.get(self._store, name).bytes()) == data
        with self._asking(name):
            with suppress(self._obstore.exceptions.AlreadyExistsError):
                self._obstore.put(self._store, name, data, mode="create")
            return bytes(self._obstore.get(self._store, name).bytes()) == data

    def replace(self, name: str, data: bytes, tag: Tag) -> bool:
        """Replace a small file if its version has this tag; return whether the file now has these bytes.

        As in `create`, the file is read before the upload and again after it.
        """
        with self._asking(name):
            now, there = self.read_tagged(name, max(len(data), _SMALL))
            if now == data or there != tag:
                return now == data
            with suppress(self._obstore.exceptions.PreconditionError):
                self._obstore.put(self._store, name, data, mode=dict(tag))
            return bytes(self._obstore.get(self._store, name).bytes()) == data

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All files below the URL, or below the folder `prefix`. A web server cannot list files."""
        with self._asking(prefix):
            for page in self._obstore.list(self._store, prefix or None):
                yield from map(_entry, page)

    def remove(self, *names: str) -> None:
        """Remove files; missing ones are not an error."""
        with suppress(AbsentError), self._asking(names[0] if len(names) == 1 else ""):
            self._obstore.delete(self._store, list(names))

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        if os.getpid() != self._process:  # a fork has no copies of obstore's threads, and would wait for them forever
            raise RuntimeError(
                "this process was forked after object storage was used, so it cannot use the storage. Start it with "
                "the method spawn, not fork"
            )
        try:
            yield
        except _errors() as error:
            raise _refusal(self.url / name if name else self.url, error) from _harmless(error)

    def __reduce__(self) -> Any:
        raise TypeError("a Remote holds credentials, so it cannot be pickled")


def _entry(about: Any) -> Entry:
    return Entry(about["path"], int(about["size"]), about["last_modified"])


def _obstore(url: object = "a URL") -> ModuleType:
    try:
        import obstore  # noqa: PLC0415  optional
        import obstore.exceptions  # noqa: PLC0415  as above
    except ImportError as error:
        raise UsageError(f"{url} needs the package obstore. Install it with {_CLOUD}") from error
    module: ModuleType = obstore
    return module


def _errors() -> tuple[type[Exception], ...]:
    base: type[Exception] = _obstore().exceptions.BaseError
    return base, FileNotFoundError


def _store_of(url: Url, patience: timedelta) -> Any:
    from obstore.store import HTTPStore, from_url  # noqa: PLC0415  optional

    client = _client_options(url)
    retry = {"max_retries": _RETRIES, "retry_timeout": patience}
    if not url.in_bucket:
        if url.parts.scheme == "http" and "allow_http" not in client:
            raise UsageError(
                f"{url}: anybody on the network can change data sent over http://. Use https://, or set "
                "AWS_ALLOW_HTTP=true"
            )
        return HTTPStore.from_url(url.text, client_options=client, retry_config=retry)
    named: dict[str, Any] = {}
    if url.parts.scheme == "s3" and os.environ.get(_PROFILE):
        named["credential_provider"] = _of_profile(url)
    return from_url(url.text, client_options=client, retry_config=retry, **named)


def _client_options(url: Url) -> dict[str, Any]:
    """Time-outs, and connection options from the environment; given any options, obstore does not read them itself."""
    prefix = {"gs": "GOOGLE_", "az": "AZURE_"}.get(url.parts.scheme, "AWS_")
    told = {name: os.environ.get(prefix + name.upper()) for name in _CONNECTION}
    return _TIMES | {name: value for name, value in told.items() if value is not None}


def _of_profile(url: Url) -> Any:
    """Credentials of the profile named in the environment, found and renewed by boto3."""
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415  optional

        return Boto3CredentialProvider(ttl=_ASKED_AGAIN)
    except ImportError as error:
        raise UsageError(f"{url}: {_PROFILE} is set, and profiles need boto3. Install it with {_AWS}") from error
    except Exception as error:  # botocore's classes are only known if it is installed
        why = type(error).__name__
        raise UsageError(f"{url}: no credentials for the profile in {_PROFILE} ({why}). See docs/storage.md") from error


def _refusal(url: Url, error: Exception) -> HeadraceError:
    """Headrace's error for an error of obstore, without most of its text, because a signed query may be in the text."""
    kinds, why = _obstore().exceptions, _reason(error)
    if isinstance(error, FileNotFoundError):
        return AbsentError(f"{url}: no such file")
    code = why.rpartition(", ")[2]
    expired, denied = code in _EXPIRED, code == _INVALID or why.startswith(_DENIED)
    # While listing files, obstore reports these errors without their own classes.
    if expired or denied or isinstance(error, kinds.PermissionDeniedError | kinds.UnauthenticatedError):
        what = "the credentials have expired" if expired else "access is denied"
        return UsageError(
            f"{url}: {what} ({why}). Credentials are taken from the environment, the cloud instance and, with "
            f"{_PROFILE}, from profiles. For a public bucket, set AWS_SKIP_SIGNATURE=true (others: docs/storage.md)"
        )
    if why.startswith("HTTP 416"):
        return BeyondError(f"{url}: the file is shorter than expected")
    if isinstance(error, kinds.NotSupportedError):
        return NoRangesError(f"{url}: the server does not support this request ({why})")
    if isinstance(error, ValueError | kinds.UnknownConfigurationKeyError | kinds.InvalidPathError):
        return UsageError(f"{url}: not a usable URL ({why}). See docs/storage.md")
    return BrokenError(f"{url}: {why}, even after retries. Start again: data already fetched is kept")


def _harmless(error: Exception) -> Exception:
    """The error without anything secret, to be shown with HEADRACE_DEBUG=1."""
    return RuntimeError(scrubbed(str(error)))


def _reason(error: Exception) -> str:
    """A short reason for an error, without anything secret."""
    text = str(error)
    seen = [f"HTTP {found[1].strip()}" for found in [_STATUS.search(text)] if found]
    seen += [found[1] for found in [_CODE.search(text)] if found]
    seen = seen or [words for mark, words in _CAUSES if mark in text][:1]
    return ", ".join(seen) or type(error).__name__


def scrubbed(text: str) -> str:
    """The text without queries, user names and passwords of URLs, and without answers of servers."""
    shown = text.partition("Debug source")[0]
    if found := _STATUS.search(shown):
        shown = shown[: found.end()]
    return _USER.sub("//", _QUERY.sub("", shown)).strip()
