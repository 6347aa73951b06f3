"""Removes unfinished files of processes that died, when the same file is written again.

Files are found by the names that `headrace.shards.store` gives to unfinished files. A file that a living process is
writing is locked, and is not removed.
"""

import glob
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from headrace.shards import system
from headrace.shards.store import PARTIAL

# The part of the name that identifies the writer; earlier versions used only a number, or also the host's name.
_WRITER = re.compile(r"([A-Za-z0-9-]{0,24}\.)?\d+(\.[0-9a-f]{8}|\.[0-9a-f]{16})?")


def remove_remains(path: Path) -> None:
    """Remove the unfinished files of processes that died while they wrote `path`."""
    for one in path.parent.glob(f"{glob.escape(path.name)}.*{PARTIAL}"):
        if _WRITER.fullmatch(one.name.removeprefix(f"{path.name}.").removesuffix(PARTIAL)):
            with suppress(OSError):  # it belongs to another user, or is locked
                _remove_unlocked(one)


def remove_all_remains(folder: Path) -> None:
    """Remove all unfinished files of dead processes in a folder.

    Names of other files in this folder must not end with `.partial`.
    """
    for one in folder.glob(f"*{PARTIAL}"):
        with suppress(OSError):
            _remove_unlocked(one)


def _remove_unlocked(path: Path) -> None:
    """Remove the file if it is a regular file of this user; ignore other files.

    Raises OSError if the file is locked or cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | system.NOFOLLOW | system.NONBLOCK | system.CLOEXEC)
    try:
        system.lock(descriptor, wait=False)
        mine, there = os.fstat(descriptor), os.lstat(path)
        if stat.S_ISREG(mine.st_mode) and mine.st_uid == os.geteuid() and os.path.samestat(mine, there):
            path.unlink()
    finally:
        os.close(descriptor)
