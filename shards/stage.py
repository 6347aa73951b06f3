"""Manages the stage, a local folder where a host keeps files fetched from object storage, and its size limit.

    STAGE/tars/ab/SHA256.tar      a tar, which sets and runs share
    STAGE/tars/ab/SHA256.partial  a tar that is being fetched, or that a process was fetching when it died
    STAGE/sets/DIGEST/            a set: a lock that all processes with this set share, and
    STAGE/sets/DIGEST/MANIFEST/   its manifest and its indexes
    STAGE/prep/, verify/ ...      files of these commands while they run, with a lock like that of a set

SHA256 stands for the SHA-256 of the tar, ab for its first two digits, DIGEST for the digest of the set, and MANIFEST
for the first digits of the SHA-256 of the manifest.
"""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from headrace.shards import system
from headrace.shards.stage_folder import stage_folder, stage_limit
from headrace.shards.stage_lock import is_still, opened_to_lock, try_lock
from headrace.shards.store import PARTIAL, free_bytes, make_folder

_SHARE = 0.75  # default limit, as a share of free and staged bytes
_TARS, _SETS, _TAR, _LOCK = "tars", "sets", ".tar", ".lock"
PREP, VERIFY, INDEX, DOCTOR = "prep", "verify", "index", "doctor"
"""Commands that have their own folder in the stage."""


class Staged(NamedTuple):
    """A staged file: a whole tar, or the part of a tar that has been fetched."""

    file: str  # its path; thousands of Path objects would take most of the time of a search
    sha256: str
    bytes: int
    used: float  # when it was last opened, in seconds
    whole: bool

    @property
    def path(self) -> Path:
        """The path of the file."""
        return Path(self.file)


class Hold:
    """Marks a folder as used by this process until `close` or garbage collection. Tars of used sets are not evicted."""

    def __init__(self, descriptor: int) -> None:
        self.close = weakref.finalize(self, os.close, descriptor)


@dataclass(frozen=True)
class Stage:
    """A stage: its folder, and the limit for the total size of its tars in bytes.

    If `limit` is None, the tars may take three quarters of the disk space that is free or already taken by tars.
    """

    folder: Path
    limit: int | None = None

    @classmethod
    def of(cls, folder: str | None = None, limit: str | None = None) -> "Stage":
        """The stage with the folder and limit of a recipe, else those of the environment, else the default ones.

        Raises UsageError for a folder or a limit that cannot be used.
        """
        return cls(stage_folder(folder), stage_limit(limit))

    def most(self, used: int) -> int:
        """The largest total size of all tars in bytes; `used` is their total size now."""
        return int(_SHARE * (free_bytes(self.folder) + used)) if self.limit is None else self.limit

    def reserve(self, sha256: str) -> None:
        """Create the unfinished file of a tar, so that the tar counts as being fetched."""
        path = self.tar(sha256).with_suffix(PARTIAL)
        make_folder(path.parent, private=True)
        os.close(opened_to_lock(path))

    def tar(self, sha256: str) -> Path:
        """The path that the tar with this SHA-256 has once it is staged."""
        return self.folder / _TARS / sha256[:2] / f"{sha256}{_TAR}"

    def set_folder(self, digest: str) -> Path:
        """The folder of a set."""
        return self.folder / _SETS / digest

    def decoded(self, digest: str) -> Path:
        """The path beside which the decoded images of the set with this digest are stored."""
        return self.folder / "decoded" / digest

    def work_folder(self, command: str) -> Path:
        """The folder for files of a command while it runs."""
        return self.folder / command

    def set_folders(self) -> list[Path]:
        """The folders of all sets."""
        folder = self.folder / _SETS
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def tars(self) -> Iterator[Staged]:
        """Yield all staged tars, also those of which only a part has been fetched."""
        for folder in _listed(self.folder / _TARS):
            for file in _listed(folder.path):
                name, _, ending = file.name.partition(".")
                with suppress(FileNotFoundError):
                    seen = file.stat(follow_symlinks=False)
                    whole = f".{ending}" == _TAR
                    if whole or f".{ending}" == PARTIAL:
                        yield Staged(file.path, name, seen.st_size, seen.st_mtime, whole)

    def hold(self, folder: Path) -> Hold:
        """Mark the folder of a set or of a command as used by this process; make the folder if missing."""
        while True:
            make_folder(folder, private=True)
            descriptor = opened_to_lock(folder / _LOCK)
            system.lock(descriptor, shared=True)
            if is_still(folder / _LOCK, descriptor):
                os.utime(descriptor)
                return Hold(descriptor)
            os.close(descriptor)  # it was removed between these two lines

    @contextmanager
    def unused(self, folder: Path) -> Iterator[bool]:
        """Yield whether no process uses this folder.

        If the folder is unused, no process can begin to use it until the block ends.
        """
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR | system.NOFOLLOW | system.CLOEXEC)
        except OSError:
            yield True
            return
        try:
            yield try_lock(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def only(self, name: str) -> Iterator[None]:
        """Let only one process at a time run a block with this name; the others wait."""
        descriptor = opened_to_lock(self.folder / f".{name}{_LOCK}")
        try:
            system.lock(descriptor)
            yield
        finally:
            os.close(descriptor)


def _listed(folder: Path | str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
