"""How a file becomes visible: written under another name, flushed to the disk, then renamed.

Whatever has its final name is complete. A folder is filled beside its target and renamed as a whole, so that a
reader sees either the finished set or nothing.
"""

import ctypes
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from headrace.shards import regular
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.open_files import refuse_limit
from headrace.shards.targets import is_folder, refuse_of_others

PARTIAL = ".partial"  # ending of a file that is being written
_HOST = re.sub("[^A-Za-z0-9-]", "-", os.uname().nodename)[:24]
_HERE, _RENAME_EXCHANGE = -100, 2  # of Linux: AT_FDCWD, and the flag of renameat2
_AN_INODE = 1 << 20  # bytes: more than any file system needs to make inodes, which some do while there is space
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_FOLDER = {errno.EEXIST, errno.ENOTDIR}
_NO_ACCESS = {errno.EROFS, errno.EACCES, errno.EPERM}


class FullError(HeadraceError):
    """A disk takes no more: it has no space or no inode left, or the user's quota is used up."""


def storage_error(error: OSError, path: Path) -> HeadraceError:
    """The error for a failed write to `path`, in words that say what to do.

    Raises LimitError where one more file may not be opened, which is no fault of the disk.
    """
    refuse_limit(error)
    if error.errno in _NO_SPACE:
        return FullError(f"{path}: {_what_is_full(error, path)} and try again")
    if error.errno in _NO_ACCESS:
        return UsageError(f"{path}: cannot write there ({error.strerror}). Choose a folder that you may write to")
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"{path}: its name is too long, with the ending that an unfinished file has. Shorten it")
    if error.errno in _NO_FOLDER:
        return UsageError(f"{path}: cannot write there: a part of this path is a file, not a folder. Choose another")
    return HeadraceError(f"{path}: {error.strerror or error}. Nothing unfinished is visible; try again")


def _what_is_full(error: OSError, path: Path) -> str:
    """What there is no more of on the disk of `path`, and what to do about it."""
    disk = os.statvfs(_existing(path))
    nothing = "Nothing unfinished is visible"
    if error.errno == errno.EDQUOT:
        return f"your quota on this disk is used up. {nothing}; free some space, or have it raised,"
    free = free_bytes(path)
    if disk.f_files and not disk.f_favail and free > _AN_INODE:
        return (
            f"the disk has no inode left for another file (all {disk.f_files:,} are in use; {free:,} bytes are free). "
            f"{nothing}; remove files, however small,"
        )
    return f"the disk is full ({free:,} bytes free). {nothing}; free some space"


def free_bytes(path: Path) -> int:
    """Bytes that may still be written on the file system of `path`, which need not exist yet."""
    return shutil.disk_usage(_existing(path)).free


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    while not path.exists():
        path = path.parent
    return path


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise what goes wrong on the disk in this block as the error for a failed write to `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where it is not there yet."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error


def partial_of(path: Path) -> Path:
    """A name beside `path` for what will become it, that no other writer has, be it a thread or on another host."""
    return path.with_name(f"{path.name}.{_HOST}.{os.getpid()}.{os.urandom(4).hex()}{PARTIAL}")


@contextmanager
def replacing(path: Path, size: int = 0, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A stream that becomes `path` when the block ends well; after an error nothing of it is left.

    One that need not be durable is not flushed to the disk first: whoever reads it must find out whether it is whole.

    Disk space for `size` bytes is taken at once: a disk that is too full for them is an error before any work is done.
    The unfinished file is locked for as long as it has its name, which tells it from one of a dead process.
    """
    partial = partial_of(path)
    try:
        with _locked_file(partial) as stream:
            if size:
                os.posix_fallocate(stream.fileno(), 0, size)
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
            partial.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with suppress(OSError):  # it is not there, as all went well or the disk is read-only
            partial.unlink()


def _locked_file(path: Path) -> BinaryIO:
    """A new file for writing, locked; without a lock where the file system has none: there nothing is ever removed."""
    while True:
        stream = path.open("w+b")
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        if os.fstat(stream.fileno()).st_nlink:
            return stream
        stream.close()  # between the two lines `remains` took it for a dead one's


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file in one visible step."""
    with replacing(path) as stream:
        stream.write(data)


def write_link(path: Path, target: Path) -> None:
    """Make `path` a link to `target` (relative to it) in one visible step; an older link is replaced."""
    partial = partial_of(path)
    try:
        partial.unlink(missing_ok=True)
        partial.symlink_to(target)
        partial.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error


def finish_file(partial: Path, path: Path) -> None:
    """Make a file that was written elsewhere durable, and give it its final name."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def work_folder(target: Path) -> Path:
    """Where `target` is made: a hidden neighbour, so that the final rename stays on one file system."""
    return target.with_name(f".{target.name}{PARTIAL}")


@contextmanager
def filling(path: Path) -> Iterator[BinaryIO]:
    """A new file in a folder that `publish_folder` makes durable and visible, if that is ever done."""
    with writing(path), path.open("x+b") as stream:
        yield stream


def publish_folder(finished: Path, target: Path) -> None:
    """Give a finished folder its final name, its files being durable by then; what had that name is removed."""
    with writing(target):
        for path in finished.iterdir():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(finished)
        discard(target)
        finished.rename(target)
        sync_folder(target.parent)


def publish(work: Path, target: Path) -> None:
    """Turn the finished folder `work` into `target`; an older `target` is swapped out and removed.

    Where the file system can exchange two names in one step, `target` is there at every moment.
    """
    old = _old(target)
    try:
        discard(old)
        for leftover in work.glob(f"*{PARTIAL}"):
            leftover.unlink()
        sync_folder(work)
        if not target.exists() or not any(target.iterdir()):
            work.rename(target)  # over an empty folder too
        elif _exchange(work, target):
            work.rename(old)
        else:
            target.rename(old)
            work.rename(target)
        for leftover in target.glob(f"*{PARTIAL}"):  # of a process that began it since; now it cannot
            leftover.unlink()
        sync_folder(target.parent)
        discard(old)
    except OSError as error:
        raise storage_error(error, target) from error


def set_aside(target: Path) -> Path:
    """Give `target` a name beside it that is free; return that."""
    aside = free_name(target)
    try:
        target.rename(aside)
        sync_folder(target.parent)
    except OSError as error:
        raise storage_error(error, target) from error
    return aside


def copy_aside(path: Path) -> Path:
    """Copy a file to a name beside it that is free; return that. The file itself stays where it is at every moment."""
    aside = free_name(path)
    write_bytes(aside, regular.read(path))
    return aside


def free_name(path: Path, mark: str = ".old") -> Path:
    """A name beside `path` that nothing has: its own, with the mark and a number."""
    names = (path.with_name(f"{path.name}{mark}-{number}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def recover(target: Path) -> None:
    """Bring the older `target` back where a swap ended between its two renames."""
    try:
        if not target.exists() and is_folder(_old(target)):
            refuse_of_others(_old(target))
            _old(target).rename(target)
    except OSError as error:
        raise storage_error(error, target) from error


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system (not Linux) or the file system (NFS, say) cannot."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    if exchange is None:
        return False
    done: int = exchange(_HERE, os.fsencode(one.absolute()), _HERE, os.fsencode(other.absolute()), _RENAME_EXCHANGE)
    return done == 0


def discard(folder: Path) -> None:
    """Remove a folder that may be there; of a link in its place the link alone."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
