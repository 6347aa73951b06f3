"""Locks targets (the folders and files that commands write), so that only one process writes a target at a time."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from headrace.shards import system
from headrace.shards.errors import HeadraceError
from headrace.shards.store import make_folder, storage_error
from headrace.shards.targets import followed, is_mount_point

# Errors of file systems that have no locks, and of NFS without a lock server.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


class LockedError(HeadraceError):
    """Another command is writing the target."""


def lock_of(target: Path) -> Path:
    """The lock file of `target`: a process that has locked this file may write `target`."""
    meant = followed(target)
    return meant / ".headrace.lock" if is_mount_point(meant) else meant.with_name(f".{meant.name}.lock")


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the exclusive lock of `target` during the block; if the process dies, the kernel releases the lock.

    If `target` is a link, the lock file is beside the folder or file that the link points to. If `target` is a mount
    point, the lock file is inside the target: the folder above may be read-only, as in a container.
    """
    name = lock_of(target)
    make_folder(name.parent)
    try:
        lock = FileLock(name)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise refusal(target) from error
    except OSError as error:
        raise storage_error(error, target) from error
    try:
        yield
    finally:
        if system.POSIX:
            name.unlink(missing_ok=True)  # while the lock is held, so that no waiter can hold the removed name
        lock.release()  # on Windows this removes the name


@contextmanager
def locked_if_possible(target: Path) -> Iterator[bool]:
    """Like `locked`, but continue without a lock if the file system has no locks. Yields whether the lock is held.

    Without locks, no other writer is excluded. Raises LockedError if another process holds the lock.
    """
    name = lock_of(target)
    make_folder(name.parent)
    try:
        descriptor, held = _flock(name)
    except BlockingIOError as error:
        raise refusal(target) from error
    except OSError as error:
        raise storage_error(error, target) from error
    try:
        yield held
    finally:
        if held:
            name.unlink(missing_ok=True)
        os.close(descriptor)


def _flock(name: Path) -> tuple[int, bool]:
    """Open the file and lock it, if possible; return its descriptor and whether it is locked.

    Raises BlockingIOError if another process holds the lock.
    """
    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | system.CLOEXEC, 0o644)
        try:
            system.lock(descriptor, wait=False)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return descriptor, False
            os.close(descriptor)
            raise
        if os.fstat(descriptor).st_nlink:
            return descriptor, True
        os.close(descriptor)  # the last holder removed the name between these two lines


def refusal(target: Path) -> LockedError:
    """The error for a target that another command is writing."""
    return LockedError(
        f"{target}: another headrace command is writing it now. Wait until that command has ended, or choose "
        "another folder"
    )
