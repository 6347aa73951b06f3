"""Downloads a file from object storage to this host's disk, resumes partial downloads, and checks the SHA-256."""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from headrace.shards import system
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.remote import AbsentError, BeyondError, BrokenError, NoRangesError, Remote
from headrace.shards.stage_lock import is_still, remove_unused, try_lock
from headrace.shards.store import PARTIAL, finish_file, make_folder, writing

_TRIES = 5  # consecutive attempts without a byte; each includes obstore's own retries
_BLOCK = 1 << 20  # bytes
_POLL_SECONDS = 0.05  # while waiting for another process's download


class File(NamedTuple):
    """The name, the size and the SHA-256 that a manifest gives for a file."""

    name: str
    bytes: int
    sha256: str


Told = Callable[[int], None]
"""A function that is called with the number of new bytes whenever bytes arrive.

If the function raises an error, the download stops, and the bytes already written are kept.
"""


def fetch(remote: Remote, file: File, path: Path, told: Told = lambda _: None) -> None:
    """Download the file to `path`.

    If several processes or threads request the file, one downloads it and the others wait. If a process died during the
    download, the partial file that this process left is hashed and completed. If the SHA-256 of the complete file is
    wrong, the whole file is downloaded once more. Raises DataError if the file does not exist in the storage, or if the
    SHA-256 of the second download is wrong too. Also raises the errors of `Remote`.
    """
    make_folder(path.parent)
    partial = path.with_suffix(PARTIAL)
    with writing(path):
        while not path.exists():
            with closing(_opened(partial)) as stream:
                if not try_lock(stream.fileno()):
                    time.sleep(_POLL_SECONDS)
                    told(0)
                elif not path.exists() and is_still(partial, stream.fileno()):
                    _fill(remote, file, stream, told)
                    finish_file(partial, path)
        remove_unused(partial)  # made by a process that looked for the file just before it appeared


def _opened(partial: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | system.NOFOLLOW | system.CLOEXEC
    return os.fdopen(os.open(partial, flags, 0o600), "r+b")


def _fill(remote: Remote, file: File, stream: BinaryIO, told: Told) -> None:
    """Download the bytes of the file that `stream` does not have yet. Raises DataError like `fetch`."""
    try:
        _fill_from(remote, file, stream, told)
    except AbsentError as error:
        raise DataError(
            f"{remote.url / file.name}: no such file, although the manifest names it. Upload the file from an intact "
            "copy and start again"
        ) from error


def _fill_from(remote: Remote, file: File, stream: BinaryIO, told: Told) -> None:
    seen, wrong = _resumed(stream, file), 0
    refused: HeadraceError | None = None
    for _ in range(_TRIES):
        try:
            complete(remote, file, stream, seen, told)
            refused = None
            if _is(file, stream, seen):
                stream.flush()
                return
            wrong += 1
        except NoRangesError as error:
            refused = error  # the connection broke, and the server can only send the whole file
        if wrong > 1:
            break
        found, seen = seen.hexdigest(), hashlib.sha256()
        stream.seek(0)
        stream.truncate(0)
    if refused is not None:
        raise refused
    raise DataError(
        f"{remote.url / file.name}: downloaded twice, and neither copy matches the manifest: the SHA-256 is {found}, "
        f"expected {file.sha256} and {file.bytes:,} bytes. Upload the file again from an intact copy"
    )


def _is(file: File, stream: BinaryIO, seen: Any) -> bool:
    return stream.tell() == file.bytes and seen.hexdigest() == file.sha256


def _resumed(stream: BinaryIO, file: File) -> Any:
    """A hashlib object with the SHA-256 of the bytes that `stream` already has.

    If `stream` has more bytes than the file, all of them are discarded first.
    """
    if os.fstat(stream.fileno()).st_size > file.bytes:
        stream.truncate(0)
    seen = hashlib.sha256()
    while piece := stream.read(_BLOCK):
        seen.update(piece)
    return seen


def complete(remote: Remote, file: File, stream: BinaryIO, seen: Any, told: Told) -> None:
    """Download the file from the stream's position on; after a broken connection, continue with a new request.

    The caller must check the result, which may be longer or shorter than the manifest says. Raises NoRangesError if the
    server can only send whole files. If several consecutive requests bring no bytes, raises the error of `Remote`.
    """
    failed = 0
    while (at := stream.tell()) < file.bytes:
        try:
            for piece in remote.stream(file.name, at):
                told(len(piece))
                seen.update(piece)
                stream.write(piece)
                if stream.tell() > file.bytes:
                    return
        except BeyondError:
            return
        except BrokenError:
            failed = failed + 1 if stream.tell() == at else 0
            if failed == _TRIES:
                raise
        else:
            if stream.tell() == at:
                return
