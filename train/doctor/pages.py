"""Finds out how many bytes of some files the kernel holds in memory, and tells the kernel to drop these files."""

import ctypes
import mmap
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

_PROC = Path("/proc")


def resident_bytes(paths: Sequence[Path]) -> int | None:
    """Return how many bytes of these files the kernel holds in memory; None if the system does not tell.

    Linux answers only for files that this user owns or may write, and reports all other files as resident.
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
            del view  # a mapping with a view cannot be closed
        if failed:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    return min(size, int((pages & 1).sum()) * mmap.PAGESIZE)


def evict(paths: Sequence[Path]) -> None:
    """Tell the kernel to drop these files from memory. Dirty pages, and pages that a process has mapped, stay."""
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def users_of(paths: Sequence[Path], ours: Collection[int]) -> dict[int, Path]:
    """Return the ids of processes that have some of these files open or mapped, and for each id one such file.

    The processes `ours` are skipped. Only processes that this user may inspect are found.
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
    """Return one of `files` that the process has open, or None."""
    with suppress(OSError):
        for entry in (process / "fd").iterdir():
            with suppress(OSError):
                if path := files.get(_identity(entry.stat())):
                    return path
    return None


def _mapped(process: Path, names: Mapping[str, Path]) -> Path | None:
    """Return one of the files in `names` that the process has mapped, or None."""
    with suppress(OSError):
        for line in (process / "maps").read_text("utf-8", "replace").splitlines():
            if path := names.get(line.partition("/")[1] + line.partition("/")[2]):
                return path
    return None
