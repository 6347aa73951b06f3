"""The user's private cache folder, for files that can be made again; nobody else can write to it."""

import os
import stat
from pathlib import Path

from headrace.shards import system

_NAME = "headrace"


def private_folder(name: str) -> Path | None:
    """Headrace's folder `name` in $XDG_CACHE_HOME or ~/.cache, made with mode 0700 if missing.

    Returns None if the folder cannot be made or written to, or if it is not private: a link, another user's folder, or
    a folder that others may write to. Callers then work without this folder.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 - home() may raise
    if not base.is_absolute():  # also if the user has no home
        return None
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (base / _NAME, base / _NAME / name):
            folder.mkdir(exist_ok=True, mode=0o700)
            if not _is_private(folder):
                return None
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def _is_private(folder: Path) -> bool:
    seen = folder.lstat()
    return stat.S_ISDIR(seen.st_mode) and system.is_own(seen)
