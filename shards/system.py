"""Calls that POSIX systems have and others lack: open flags, reads at an offset, locks on open files, file owners.

On Windows no file is locked; docs/decisions/0040-no-locks-on-windows.md gives the reason.
"""

import errno
import io
import os
import stat
import sys
from threading import Lock

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    POSIX = False
else:
    POSIX = True

CLOEXEC: int = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags for every `os.open`: child processes do not inherit the descriptor, and Windows does not change line ends."""
NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
SYNCED = "rb" if POSIX else "r+b"
"""The mode in which to open a file to flush it to the disk; Windows flushes only files that are open for writing."""
NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_SEEKING = Lock()


def _pread_by_seeking(descriptor: int, size: int, offset: int) -> bytes:
    """Read at an offset on systems without pread, one thread at a time, because threads share the file's position."""
    pieces = []
    with _SEEKING:
        os.lseek(descriptor, offset, os.SEEK_SET)
        while size and (piece := os.read(descriptor, size)):
            pieces.append(piece)
            size -= len(piece)
    return b"".join(pieces)


pread = getattr(os, "pread", _pread_by_seeking)
"""pread(descriptor, size, offset) returns up to `size` bytes from `offset`."""


def pread_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Read bytes from `offset` into the buffer; return how many were read."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [buffer], offset)
    data = pread(descriptor, len(buffer), offset)
    buffer[: len(data)] = data
    return len(data)


def lock(file: int | io.IOBase, *, shared: bool = False, wait: bool = True) -> None:
    """Lock an open file. The lock ends with the process, even if the process is killed.

    Raises BlockingIOError if another process has a lock and `wait` is false. Raises OSError with ENOLCK if the file
    system or the operating system has no locks.
    """
    if not POSIX:
        raise OSError(errno.ENOLCK, f"{sys.platform} has no advisory locks")
    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def is_own(seen: os.stat_result) -> bool:
    """Whether the file belongs to this user and nobody else may write to it; False on systems without file owners."""
    return hasattr(os, "geteuid") and seen.st_uid == os.geteuid() and not seen.st_mode & OTHERS_WRITE
