"""`headrace prep --download`: fetches a data set's official zip, resumes interrupted transfers, and checks the file."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from headrace.prep.command.progress import progress
from headrace.shards import regular
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.store import PARTIAL, finish_file, storage_error

_CHUNK = 1 << 20
_TRIES = 8  # consecutive connections without a byte
_TIMEOUT = 30.0  # seconds without a byte
_PAUSE = 1.0  # seconds before the second try; doubled for each further one


@dataclass(frozen=True)
class Offer:
    """A file that --download can fetch."""

    url: str
    name: str
    md5: str


OFFERS = {
    "tiny-imagenet": Offer(
        "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "tiny-imagenet-200.zip",
        "90528d7ca1a48142e341f4ef8d21d0de",
    ),
}


def download(offer: Offer, folder: Path, *, pause: float = _PAUSE) -> Path:
    """Return the path of the offered file in `folder`; fetch the file if it is missing, and check its MD5.

    A transfer that was interrupted is resumed.
    """
    path = folder / offer.name
    partial = path.with_name(path.name + PARTIAL)
    failed, reason = 0, ""
    try:
        if path.exists():
            _check(path, offer)
            return path
        folder.mkdir(parents=True, exist_ok=True)
        while failed < _TRIES:
            before = partial.stat().st_size if partial.exists() else 0
            try:
                if _fetch(offer, partial, before):
                    break
                reason = "the server ended the transfer early"
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                reason = str(getattr(error, "reason", error))
            failed = 0 if partial.exists() and partial.stat().st_size > before else failed + 1
            time.sleep(min(pause * 2**failed, 60.0))
        else:
            raise HeadraceError(
                f"{offer.url}: {reason}. The part that was fetched is kept in {partial}. Try again later, "
                f"or fetch the file in another way and give its path as SOURCE"
            )
        _check(partial, offer)
        finish_file(partial, path)
    except OSError as error:
        raise storage_error(error, path) from error
    return path


def _fetch(offer: Offer, partial: Path, have: int) -> bool:
    """Append the bytes that the server sends to the partial file; return whether the transfer is complete."""
    request = urllib.request.Request(offer.url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310 - the address is one of OFFERS
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send
            return True
        raise
    with answer, partial.open("ab" if answer.status == 206 else "wb") as target:
        start = target.tell()
        total = start + int(answer.headers.get("Content-Length") or 0)
        with progress(total, offer.name, "bytes") as report:
            while chunk := answer.read(_CHUNK):
                target.write(chunk)
                report(target.tell())
        return target.tell() >= total


def _check(path: Path, offer: Offer) -> None:
    """Raise DataError unless the file has the publisher's MD5, which reveals damage but not a forged file."""
    with regular.opened(path) as stream:
        seen = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if seen != offer.md5:
        raise DataError(f"{path}: MD5 {seen}, expected {offer.md5}. Remove the file and try again")
