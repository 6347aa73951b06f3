"""Checks folders that a command is about to write: what a path refers to, and whether the folder may be replaced."""

import os
import re
import stat
import tempfile
from pathlib import Path

from headrace.shards.errors import UsageError
from headrace.shards.paths import refuse_impossible

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")  # an escaped space, tab, newline or backslash in a mount point


def followed(path: Path) -> Path:
    """The absolute path of the folder that `path` refers to, with links resolved.

    If `path` is a link, it stays a link when this folder is replaced. Raises UsageError for the root of the file
    system, which has no name, and for impossible paths.
    """
    refuse_impossible(path)
    found = Path(os.path.realpath(path))
    if not found.name:
        raise UsageError(f"{path}: the root of the file system cannot be replaced. Give a folder in it")
    return found


def is_mount_point(folder: Path) -> bool:
    """Whether a file system, or a part of one, is mounted at `folder`, a path without links."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:  # not Linux: a mounted part of the same file system is then missed
        return folder.is_mount()
    points = (_ESCAPED.sub(lambda code: bytes([int(code[1], 8)]), line.split()[4]) for line in lines)
    return os.fsencode(folder) in points


def refuse_mount_point(folder: Path, inside: str) -> None:
    """Raise UsageError if `folder` is a mount point, which a rename cannot replace; suggest the folder `inside` it."""
    if is_mount_point(folder):
        raise UsageError(
            f"{folder}: a disk or volume is mounted there, so the folder cannot be replaced by a rename. "
            f"Give a folder in it, such as {folder / inside}"
        )


def refuse_of_others(folder: Path) -> None:
    """Raise UsageError if `folder` exists and belongs to another user, who may have put anything into it.

    To find out the owner of new files, this function makes a file, because network and FUSE disks may choose another
    owner.
    """
    try:
        seen = folder.lstat()
    except FileNotFoundError:
        return
    with tempfile.TemporaryFile(dir=folder.parent) as mine:
        own = os.fstat(mine.fileno()).st_uid
    if seen.st_uid != own:
        owner = _name(seen.st_uid)
        raise UsageError(
            f"{folder}: it belongs to {owner}, but files made here belong to {_name(own)}; a folder of "
            f"another user is not used. Ask {owner} to remove it, or choose another OUT"
        )


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder, and not a link to a folder."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _name(user: int) -> str:
    try:
        import pwd  # noqa: PLC0415  Windows has none

        return f"{pwd.getpwuid(user).pw_name} (user {user})"
    except (ImportError, KeyError):
        return f"user {user}"
