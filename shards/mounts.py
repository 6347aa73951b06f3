"""Finds the kind of a folder's file system, and whether other hosts can write to the folder."""

import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_OF_ONE_HOST = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}


def file_system(folder: Path) -> str:
    """The kind of a folder's file system, such as "ext4"; "" if it is unknown."""
    try:
        lines = _MOUNTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    device = folder.stat().st_dev
    mark = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        fields = line.split()
        if fields[2] == mark:
            return fields[fields.index("-") + 1]
    return ""


def is_of_one_host(folder: Path) -> bool:
    """Whether a folder is certainly on a disk that only one host can write to.

    A lock on such a disk excludes all other writers.
    """
    return file_system(folder) in _OF_ONE_HOST
