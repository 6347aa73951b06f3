"""Compiled loops between processes: files in the user's private cache folder, each checked before it is used."""

import hashlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from headrace.shards import store
from headrace.shards.errors import HeadraceError
from headrace.shards.user_cache import private_folder

_log = logging.getLogger("headrace")
_MOST = 256  # files that stay; one version of the code makes about 30, of about 40 KB each
_ENDING = ".loop"
_DIGEST = 32  # bytes of a SHA-256
_ABANDONED_SECONDS = 3600.0  # after which no living process still writes a file


class Kept:
    """Bytes by name and key in a folder of the user's own, with mode 0700.

    A file is a SHA-256 of its key and its bytes, and the bytes; it appears by a rename, so that processes may write
    the same one at once. Whoever may write the folder could write a hash that fits too: hence the private folder.
    `trouble` is empty where all is well. `tell` is told, once, when something has to be made.
    """

    def __init__(self, name: str, lost: str) -> None:
        """`name` of the folder; `lost` says what it means that nothing is kept, before `trouble` says why."""
        self.trouble = ""
        self.tell: Callable[[str], None] = _log.info
        self._told = False
        self._lost = lost
        self._name = name

    def get(self, name: str, key: bytes) -> bytes | None:
        """What was put there with this key; None where nothing was, or any bit of it has changed."""
        path = self._path(name, key)
        if path is None:
            return None
        with suppress(OSError):
            kept = path.read_bytes()
            digest, data = kept[:_DIGEST], kept[_DIGEST:]
            if digest == _digest(key, data):
                os.utime(path)  # what is used counts as new
                return data
        return None

    def missed(self) -> None:
        """Tell, once, that something that is not kept is made now: it takes seconds in which nothing else is seen."""
        if not self._told:
            self._told = True
            later = "" if self.trouble else "; later starts find them"
            self.tell(f"compiles the loops over pixels for this processor, for some seconds{later}")

    def put(self, name: str, key: bytes, data: bytes) -> None:
        """Keep bytes, in the place of what is there; and remove what was used longest ago, beyond a number of files."""
        path = self._path(name, key)
        if path is None:
            return
        try:
            store.write_bytes(path, _digest(key, data) + data)
            _clear(path.parent)
        except (HeadraceError, OSError) as error:
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            self.trouble = f"{self._lost}: {path.parent}: {getattr(reason, 'strerror', None) or reason}"

    def _path(self, name: str, key: bytes) -> Path | None:
        folder = private_folder(self._name)
        if folder is None:
            place = f"headrace/{self._name} in $XDG_CACHE_HOME or ~/.cache"
            self.trouble = f"{self._lost}: there is no folder {place} that this user, and nobody else, can write"
            return None
        return folder / f"{name}-{hashlib.sha256(key).hexdigest()}{_ENDING}"


LOOPS = Kept("loops", "compiled loops cannot be kept, so every start compiles them anew, for some seconds")


def _digest(key: bytes, data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(key).digest() + data).digest()


def _clear(folder: Path) -> None:
    """Remove the files beyond the newest, and what processes that were killed left unfinished."""
    ages: dict[Path, float] = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process clears, too
            ages[path] = path.stat().st_mtime
    old = sorted((path for path in ages if path.suffix == _ENDING), key=ages.__getitem__, reverse=True)[_MOST:]
    end = time.time() - _ABANDONED_SECONDS
    old += [path for path, age in ages.items() if path.suffix == store.PARTIAL and age < end]
    for path in old:
        path.unlink(missing_ok=True)
