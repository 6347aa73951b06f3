"""Reads only regular files: a FIFO or a device in place of one could block a command forever."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from headrace.shards import system
from headrace.shards.open_files import refuse_limit


def descriptor(path: Path) -> int:
    """Open the file for reading, and return its descriptor. Raises OSError, also if `path` is not a regular file.

    Raises LimitError instead if the process may not open another file, because then the file is not at fault.
    """
    try:
        found = os.open(path, os.O_RDONLY | system.NONBLOCK | system.CLOEXEC)
    except OSError as error:
        refuse_limit(error)
        raise
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found


def state(path: Path) -> os.stat_result:
    """The result of `lstat` for the file. Raises OSError, also if `path` is not a regular file."""
    seen = path.lstat()
    if not stat.S_ISREG(seen.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return seen


def opened(path: Path) -> BufferedReader:
    """The file as an open stream. Raises like `descriptor`."""
    return os.fdopen(descriptor(path), "rb")


def read(path: Path) -> bytes:
    """All bytes of the file. Raises like `descriptor`."""
    with opened(path) as stream:
        return stream.read()
