"""Keeps compiled loops for later processes, in the user's private cache folder; each file is checked before use."""

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
_MOST = 256  # files to keep; one version of the code makes about 30, of about 40 KB each
_ENDING = ".loop"
_DIGEST = 32  # bytes of a SHA-256
_ABANDONED_SECONDS = 3600.0  # no process writes a file for longer than this


class Kept:
    """Stores bytes by name and key in a folder that only the user can open (mode 0700).

    Each file consists of a SHA-256, computed from the key and the stored bytes, and then these bytes. A file is written
    under another name and then renamed, so several processes may write the same file at once. The folder is private,
    because anybody who can write to it could replace a file and its hash. `trouble` is a warning that nothing can be
    stored, or empty. `tell` is called once, with a message for the user, if something has to be compiled.
    """

    def __init__(self, name: str, lost: str) -> None:
        """Use the folder headrace/`name` in the user's cache folder.

        The warning `trouble` begins with `lost`, which states the consequence if nothing can be stored.
        """
        self.trouble = ""
        self.tell: Callable[[str], None] = _log.info
        self._told = False
        self._lost = lost
        self._name = name

    def get(self, name: str, key: bytes) -> bytes | None:
        """Return the bytes stored with this key, or None if they are missing or damaged."""
        path = self._path(name, key)
        if path is None:
            return None
        with suppress(OSError):
            kept = path.read_bytes()
            digest, data = kept[:_DIGEST], kept[_DIGEST:]
            if digest == _digest(key, data):
                os.utime(path)  # the files that were not used for the longest time are removed first
                return data
        return None

    def missed(self) -> None:
        """Tell the user once that loops are being compiled, because that takes seconds without other output."""
        if not self._told:
            self._told = True
            later = "" if self.trouble else "; later starts reuse them"
            self.tell(f"compiling the loops over pixels for this processor, which takes some seconds{later}")

    def put(self, name: str, key: bytes, data: bytes) -> None:
        """Store bytes under this name and key. If there are too many files, remove those unused for longest."""
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
            self.trouble = f"{self._lost}: there is no folder {place} that only this user can write"
            return None
        return folder / f"{name}-{hashlib.sha256(key).hexdigest()}{_ENDING}"


LOOPS = Kept("loops", "compiled loops cannot be kept, so every start compiles them again, which takes some seconds")


def _digest(key: bytes, data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(key).digest() + data).digest()


def _clear(folder: Path) -> None:
    """Remove the files unused for longest if there are too many, and unfinished files of killed processes."""
    ages: dict[Path, float] = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process is clearing too
            ages[path] = path.stat().st_mtime
    old = sorted((path for path in ages if path.suffix == _ENDING), key=ages.__getitem__, reverse=True)[_MOST:]
    end = time.time() - _ABANDONED_SECONDS
    old += [path for path, age in ages.items() if path.suffix == store.PARTIAL and age < end]
    for path in old:
        path.unlink(missing_ok=True)
