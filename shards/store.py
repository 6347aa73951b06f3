"""Makes files visible atomically: writes them under another name, flushes them to the disk, then renames them.

A file with its final name is complete. A folder is filled beside its target and renamed as a whole, so that a reader
sees either the finished folder or nothing.
"""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from headrace.shards import regular, system
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.open_files import refuse_limit
from headrace.shards.targets import is_folder, refuse_of_others

PARTIAL = ".partial"  # ending of a file that is being written
_HERE, _RENAME_EXCHANGE = -100, 2  # constants of Linux: AT_FDCWD, and the flag of renameat2
_AN_INODE = 1 << 20  # bytes: more than a file system needs to create inodes, which some do while there is space
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_FOLDER = {errno.EEXIST, errno.ENOTDIR}
_NO_LINK = {errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_ACCESS = {errno.EROFS, errno.EACCES, errno.EPERM}


class FullError(HeadraceError):
    """A disk is full: it has no space or no inode left, or the user's quota is used up."""


def storage_error(error: OSError, path: Path) -> HeadraceError:
    """The error for a failed write to `path`, with advice.

    Raises LimitError if no further file may be opened, which is not a fault of the disk.
    """
    refuse_limit(error)
    if error.errno in _NO_SPACE:
        return FullError(f"{path}: {_what_is_full(error, path)}")
    if error.errno in _NO_ACCESS:
        return UsageError(f"{path}: cannot write there ({error.strerror}). Choose a folder that is writable")
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"{path}: the name is too long, as it gets a suffix while it is written. Shorten it")
    if error.errno in _NO_FOLDER:
        return UsageError(f"{path}: cannot write there: a part of this path is a file, not a folder. Choose another")
    return HeadraceError(f"{path}: {error.strerror or error}. Finished files are not affected; try again")


def _what_is_full(error: OSError, path: Path) -> str:
    """A sentence that says what the disk of `path` lacks (space, inodes or quota), and what to do."""
    nothing = "Finished files are not affected"
    if error.errno == errno.EDQUOT:
        return f"the user's quota on this disk is used up. {nothing}; free space, or get a larger quota, and try again"
    free = free_bytes(path)
    disk = os.statvfs(_existing(path)) if hasattr(os, "statvfs") else None
    if disk and disk.f_files and not disk.f_favail and free > _AN_INODE:
        return (
            f"the disk has no inode left for another file (all {disk.f_files:,} are in use; {free:,} bytes are free). "
            f"{nothing}; remove some files, however small, and try again"
        )
    return f"the disk is full ({free:,} bytes free). {nothing}; free some space and try again"


def free_bytes(path: Path) -> int:
    """The number of free bytes in the file system of `path`; `path` need not exist yet."""
    return shutil.disk_usage(_existing(path)).free


def _existing(path: Path) -> Path:
    """The path, or the nearest existing folder above it."""
    while not path.exists():
        path = path.parent
    return path


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of `folder` to the disk. Does nothing on Windows, which has no such call."""
    if not system.POSIX:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError in the block into the error for a failed write to `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def make_folder(folder: Path, *, private: bool = False) -> None:
    """Make a folder, and the folders above it, if missing; if `private`, only the owner may enter the new folders."""
    try:
        for above in reversed([folder, *folder.parents] if private else []):
            if not above.is_dir():
                above.mkdir(0o700, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error


def partial_of(path: Path) -> Path:
    """A name beside `path` for its unfinished version, unique among threads, processes and hosts."""
    return path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(8).hex()}{PARTIAL}")


@contextmanager
def replacing(
    path: Path, size: int = 0, *, durable: bool = True, first: Callable[[], None] = lambda: None
) -> Iterator[BinaryIO]:
    """Yield a stream to a new file that becomes `path` if the block succeeds; after an error, the file is removed.

    `first` is called just before the rename, and an exception from it prevents the rename.

    If not `durable`, the file is not flushed to the disk before the rename: readers must check that it is complete.

    Disk space for `size` bytes is reserved at once, so that a full disk is an error before any work is done. The
    unfinished file is locked, which distinguishes it from an unfinished file of a dead process.
    """
    partial = partial_of(path)
    try:
        with _locked_file(partial) as stream:
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
            first()
            if not system.POSIX:  # which renames open files too
                stream.close()
            partial.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with suppress(OSError):  # it does not exist, because all went well or the disk is read-only
            partial.unlink()


def _locked_file(path: Path) -> BinaryIO:
    """A new file for writing, locked if the file system has locks; if not, the file stays if this process dies."""
    while True:
        stream = path.open("w+b")
        with suppress(OSError):
            system.lock(stream)
        if os.fstat(stream.fileno()).st_nlink:
            return stream
        stream.close()  # between these two lines `remains` took it for the file of a dead process


def write_bytes(path: Path, data: bytes | memoryview, first: Callable[[], None] = lambda: None) -> None:
    """Write a whole file atomically; `first` is called before the rename, as in `replacing`."""
    with replacing(path, first=first) as stream:
        stream.write(data)


def write_link(path: Path, target: Path) -> None:
    """Make `path` a link to `target` (relative to the folder of `path`) atomically; an older link is replaced."""
    partial = partial_of(path)
    try:
        partial.unlink(missing_ok=True)
        partial.symlink_to(target)
        partial.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error


def link(path: Path, target: Path) -> None:
    """Make `target` a hard link to the file `path`, or a copy if no link can be made; this is not atomic."""
    with writing(target):
        target.unlink(missing_ok=True)
        try:
            os.link(path, target)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            with replacing(target) as stream, regular.opened(path) as source:
                shutil.copyfileobj(source, stream)


def finish_file(partial: Path, path: Path) -> None:
    """Flush a file that was written elsewhere, and give it its final name."""
    with partial.open(system.SYNCED) as stream:
        os.fsync(stream.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def work_folder(target: Path) -> Path:
    """The hidden folder beside `target` in which `target` is made. So the final rename stays on one file system."""
    return target.with_name(f".{target.name}{PARTIAL}")


@contextmanager
def filling(path: Path) -> Iterator[BinaryIO]:
    """Open the new file `path` for writing, in a folder that `publish_folder` later flushes and renames."""
    with writing(path), path.open("x+b") as stream:
        yield stream


def publish_folder(finished: Path, target: Path) -> None:
    """Flush the files of a finished folder and give it its final name; an older folder with that name is removed."""
    with writing(target):
        for path in finished.iterdir():
            with path.open(system.SYNCED) as stream:
                os.fsync(stream.fileno())
        sync_folder(finished)
        discard(target)
        finished.rename(target)
        sync_folder(target.parent)


def publish(work: Path, target: Path) -> None:
    """Turn the finished folder `work` into `target`; an older `target` is swapped out and removed.

    If the file system can exchange two names atomically, `target` exists at every moment.
    """
    old = _old(target)
    try:
        discard(old)
        for leftover in work.glob(f"*{PARTIAL}"):
            leftover.unlink(missing_ok=True)  # its writer, perhaps on another host, may remove it too
        sync_folder(work)
        if not target.exists() or not any(target.iterdir()):
            work.rename(target)  # over an empty folder too
        elif _exchange(work, target):
            work.rename(old)
        else:
            target.rename(old)
            work.rename(target)
        for leftover in target.glob(f"*{PARTIAL}"):  # from a process that began meanwhile; now none can
            leftover.unlink(missing_ok=True)
        sync_folder(target.parent)
        discard(old)
    except OSError as error:
        raise storage_error(error, target) from error


def set_aside(target: Path) -> Path:
    """Rename `target` to a free name beside it; return that name."""
    aside = free_name(target)
    try:
        target.rename(aside)
        sync_folder(target.parent)
    except OSError as error:
        raise storage_error(error, target) from error
    return aside


def copy_aside(path: Path) -> Path:
    """Copy a file to a free name beside it; return that name. The file itself is not moved."""
    aside = free_name(path)
    write_bytes(aside, regular.read(path))
    return aside


def free_name(path: Path, mark: str = ".old") -> Path:
    """A free name beside `path`: the name of `path` with `mark` and a number added."""
    names = (path.with_name(f"{path.name}{mark}-{number}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def recover(target: Path) -> None:
    """Restore the older `target` if a process died in `publish`, between two renames."""
    try:
        if not target.exists() and is_folder(_old(target)):
            refuse_of_others(_old(target))
            _old(target).rename(target)
    except OSError as error:
        raise storage_error(error, target) from error


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names atomically; return False outside Linux, or if the file system, such as NFS, cannot do this."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if exchange is None:
        return False
    done: int = exchange(_HERE, os.fsencode(one.absolute()), _HERE, os.fsencode(other.absolute()), _RENAME_EXCHANGE)
    return done == 0


def discard(folder: Path) -> None:
    """Remove a folder, if it exists; if it is a link, remove only the link."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
