"""Locks staged files, so that no process removes a file that another process uses.

A lock ends with the process that holds it, even if the process is killed. A tar that is being read has a shared lock on
its open file, so eviction, which needs an exclusive lock, skips it.
"""

import os
from contextlib import suppress
from pathlib import Path

from headrace.shards import system
from headrace.shards.open_files import refuse_limit
from headrace.shards.store import storage_error


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file; return False if somebody else has a lock on it."""
    try:
        system.lock(descriptor, wait=False)
    except BlockingIOError:
        return False
    return True


def opened_to_lock(path: Path) -> int:
    """Open a file for locking; it is made if missing."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | system.NOFOLLOW | system.CLOEXEC, 0o600)
    except OSError as error:
        raise storage_error(error, path) from error


def is_still(path: Path, descriptor: int) -> bool:
    """Whether the path still refers to the open file; their inodes are compared."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def opened_shared(path: Path) -> int | None:
    """Open a staged tar for reading, with a lock that prevents its eviction while it is open.

    Returns None if the tar does not exist. Updates the tar's time of last use.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | system.NOFOLLOW | system.NONBLOCK | system.CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            refuse_limit(error)
            raise
        system.lock(descriptor, shared=True)
        if is_still(path, descriptor):
            with suppress(OSError):
                os.utime(descriptor)
            return descriptor
        os.close(descriptor)  # evicted between these two lines


def remove_unused(path: Path) -> bool:
    """Remove a staged file unless a process has it open or is fetching it; return whether it was removed."""
    try:
        descriptor = os.open(path, os.O_RDWR | system.NOFOLLOW | system.NONBLOCK | system.CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if not try_lock(descriptor):
            return False
        if is_still(path, descriptor):
            path.unlink()
        return True
    finally:
        os.close(descriptor)
