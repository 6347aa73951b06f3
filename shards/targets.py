"""Folders that a command is about to write: which folder a path means, and whether it may be replaced as a whole."""

import os
import pwd
import re
import stat
import tempfile
from pathlib import Path

from headrace.shards.errors import UsageError
from headrace.shards.paths import refuse_impossible

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")  # a space, tab, newline or backslash in a mount point


def followed(path: Path) -> Path:
    """The folder that is meant, absolute, with links followed: once, so that a link at its end stays what it is.

    Raises UsageError for the root of the file system, which has no name, and for paths that cannot be.
    """
    refuse_impossible(path)
    found = Path(os.path.realpath(path))
    if not found.name:
        raise UsageError(f"{path}: the root of the file system cannot be written as a whole. Give a folder in it")
    return found


def is_mount_point(folder: Path) -> bool:
    """Whether a file system, or a part of one, is mounted there; `folder` has no links in it."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:  # not Linux: a part of the same file system is then not seen
        return folder.is_mount()
    points = (_ESCAPED.sub(lambda code: bytes([int(code[1], 8)]), line.split()[4]) for line in lines)
    return os.fsencode(folder) in points


def refuse_mount_point(folder: Path, inside: str) -> None:
    """Raise UsageError where a finished folder could not take this one's place by a rename; one `inside` it could."""
    if is_mount_point(folder):
        raise UsageError(
            f"{folder}: a disk or volume is mounted there, and what is finished takes its name by a rename, which a "
            f"mount point does not allow. Give a folder in it, such as {folder / inside}"
        )


def refuse_of_others(folder: Path) -> None:
    """Raise UsageError where `folder` is there and another user's, who may have put anything into it.

    Who owns what this process makes is seen by making a file: network and FUSE disks have rules of their own.
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
            f"{folder}: it belongs to {owner}, and files made here to {_name(own)}: only what one's own run left is "
            f"used. Have {owner} remove it, or choose another OUT"
        )


def is_folder(path: Path) -> bool:
    """Whether there is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _name(user: int) -> str:
    try:
        return f"{pwd.getpwuid(user).pw_name} (user {user})"
    except KeyError:
        return f"user {user}"
