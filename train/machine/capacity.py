"""Measures how much memory a process may still use, and formats numbers of bytes as text."""

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")  # a container sees its own control group here
_RECLAIMABLE = ("active_file ", "inactive_file ")


def usable_memory() -> int | None:
    """Return how many bytes of memory this process may still use.

    The result is the kernel's "available" memory, or the unused part of the cgroup's limit if that part is smaller.
    Cached pages of files count as available, because the kernel drops them if needed. Returns None if the system gives
    neither number.
    """
    known = [found for found in (_available(), _left_in_group()) if found is not None]
    return min(known, default=None)


def _available() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _left_in_group() -> int | None:
    try:
        limit = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_GROUP / "memory.current").read_text(encoding="ascii"))
        lines = (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        if limit == "max":
            return None
        return int(limit) - used + sum(int(line.split()[1]) for line in lines if line.startswith(_RECLAIMABLE))
    except (OSError, ValueError):
        return None


def in_words(size: int) -> str:
    """Return a number of bytes as text in megabytes (10^6 bytes) or, from 100 MB on, in gigabytes (10^9 bytes)."""
    return f"{size / 1e9:.2f} GB" if size >= 10**8 else f"{size / 1e6:.1f} MB"
