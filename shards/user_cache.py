"""The user's private cache folder, for what can be made again: nobody else can write what is read there."""

import os
import stat
from pathlib import Path

_NAME = "headrace"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def private_folder(name: str) -> Path | None:
    """The folder `name` of Headrace's own in $XDG_CACHE_HOME or ~/.cache, made with mode 0700 where it is not there.

    None where there is no such place, it cannot be written, or it is not the user's alone: a link, another user's, or
    one that others may write to. Whoever asks then does without.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 - home() may raise
    if not base.is_absolute():  # also where the user has no home
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
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & _OTHERS_WRITE
