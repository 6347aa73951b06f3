"""What processes that died left of files they wrote: removed by who writes the same file next.

The names are those that `headrace.shards.store` gives to unfinished files; what a living process writes is locked.
"""

import fcntl
import glob
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from headrace.shards.store import PARTIAL

_WRITER = re.compile(r"([A-Za-z0-9-]{0,24}\.)?\d+(\.[0-9a-f]{8})?")  # of such a file; earlier ones had a number alone


def remove_remains(path: Path) -> None:
    """Remove what processes that died while they wrote `path` left of it; what a living one writes is locked."""
    for one in path.parent.glob(f"{glob.escape(path.name)}.*{PARTIAL}"):
        if _WRITER.fullmatch(one.name.removeprefix(f"{path.name}.").removesuffix(PARTIAL)):
            with suppress(OSError):  # of another user, or locked
                _remove_unlocked(one)


def remove_all_remains(folder: Path) -> None:
    """The same for all files in a folder that has no others of such names."""
    for one in folder.glob(f"*{PARTIAL}"):
        with suppress(OSError):
            _remove_unlocked(one)


def _remove_unlocked(path: Path) -> None:
    """Raises OSError where the file is locked, somebody else's, or not a regular one."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine, there = os.fstat(descriptor), os.lstat(path)
        if stat.S_ISREG(mine.st_mode) and mine.st_uid == os.geteuid() and os.path.samestat(mine, there):
            path.unlink()
    finally:
        os.close(descriptor)
