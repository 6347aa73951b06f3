"""Reading ordinary files only: a FIFO or a device in the place of one would hold a command up for ever."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from headrace.shards.open_files import refuse_limit


def descriptor(path: Path) -> int:
    """The file, open for reading. Raises OSError, also where it is anything but a regular file.

    Raises LimitError instead where one more file may not be opened: that says nothing of this one.
    """
    try:
        found = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        refuse_limit(error)
        raise
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found


def state(path: Path) -> os.stat_result:
    """Of the file. Raises OSError, also where it is anything but a regular file."""
    seen = path.lstat()
    if not stat.S_ISREG(seen.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return seen


def opened(path: Path) -> BufferedReader:
    """The same as a stream."""
    return os.fdopen(descriptor(path), "rb")


def read(path: Path) -> bytes:
    """All bytes of the file. Raises OSError as `descriptor` does."""
    with opened(path) as stream:
        return stream.read()
