"""The right to write a target: one lock each keeps two writers apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from headrace.shards.errors import HeadraceError
from headrace.shards.store import make_folder, storage_error
from headrace.shards.targets import followed, is_mount_point


class LockedError(HeadraceError):
    """Another command holds the right to write a target."""


def lock_of(target: Path) -> Path:
    """The file whose lock is the right to write `target`."""
    meant = followed(target)
    return meant / ".headrace.lock" if is_mount_point(meant) else meant.with_name(f".{meant.name}.lock")


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the only right to write `target`; the kernel takes it back when the process dies, however it dies.

    Its file lies beside the target, whichever link leads there; in the target where that is a mount point: the folder
    that a container's volume is mounted in may be another disk, and read-only.
    """
    name = lock_of(target)
    make_folder(name.parent)
    try:
        lock = FileLock(name)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LockedError(
            f"{target}: another headrace command is writing it now. Wait until it ends, or choose another folder"
        ) from error
    except OSError as error:
        raise storage_error(error, target) from error
    try:
        yield
    finally:
        name.unlink(missing_ok=True)  # while it is still held: no waiter can hold the name that goes away
        lock.release()
