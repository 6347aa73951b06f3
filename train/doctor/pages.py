"""Which bytes of files are in memory: asked, and evicted."""

import ctypes
import mmap
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

_PROC = Path("/proc")


def resident_bytes(paths: Sequence[Path]) -> int | None:
    """Bytes of these files that the kernel holds in memory; None where the system does not tell.

    Linux tells of files that this user owns or may write, and calls all of others resident.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "mincore"):
        return None
    return sum(_resident(path, libc) for path in paths)


def _resident(path: Path, libc: ctypes.CDLL) -> int:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return 0
        with mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as mapped:
            view = np.frombuffer(mapped, np.uint8)
            pages = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
            address, into = ctypes.c_void_p(view.ctypes.data), ctypes.c_void_p(pages.ctypes.data)
            failed = libc.mincore(address, ctypes.c_size_t(size), into)
            del view  # a mapping that is looked at cannot be closed
        if failed:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    return min(size, int((pages & 1).sum()) * mmap.PAGESIZE)


def evict(paths: Sequence[Path]) -> None:
    """Ask the kernel to drop what it holds of these files. What others have mapped, or nobody has written, stays."""
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def users_of(paths: Sequence[Path], ours: Collection[int]) -> dict[int, Path]:
    """Processes that have one of these files open or mapped, each with a file; `ours` are passed over.

    Only those are seen that this user may look at.
    """
    files = {_identity(path.stat()): path for path in paths}
    names = {str(path.resolve()): path for path in paths}
    found = {}
    for folder in _PROC.glob("[0-9]*"):
        if int(folder.name) not in ours and (path := _opened(folder, files) or _mapped(folder, names)):
            found[int(folder.name)] = path
    return found


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _opened(process: Path, files: Mapping[tuple[int, int], Path]) -> Path | None:
    """One of the files that the process has open."""
    with suppress(OSError):
        for entry in (process / "fd").iterdir():
            with suppress(OSError):
                if path := files.get(_identity(entry.stat())):
                    return path
    return None


def _mapped(process: Path, names: Mapping[str, Path]) -> Path | None:
    """One of the files that the process has mapped."""
    with suppress(OSError):
        for line in (process / "maps").read_text("utf-8", "replace").splitlines():
            if path := names.get(line.partition("/")[1] + line.partition("/")[2]):
                return path
    return None
