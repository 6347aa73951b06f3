"""Finds the files that processes of this user have open or mapped, according to the kernel."""

import os
from contextlib import suppress
from pathlib import Path

_PROCESSES = Path("/proc")


def files_in_use() -> set[str]:
    """The paths of the files that processes have open or mapped; empty without /proc.

    Processes that this user may not inspect are skipped.
    """
    found: set[str] = set()
    if not _PROCESSES.is_dir():
        return found
    for process in _PROCESSES.iterdir():
        if process.name.isdigit():
            with suppress(OSError):  # it has ended, or belongs to another user
                found.update(_open_in(process))
                found.update(_mapped_in(process))
    return found


def _open_in(process: Path) -> set[str]:
    found = set()
    with os.scandir(process / "fd") as descriptors:
        for one in descriptors:
            with suppress(OSError):
                found.add(str(Path(one.path).readlink()))
    return found


def _mapped_in(process: Path) -> set[str]:
    lines = (process / "maps").read_text("utf-8", "surrogateescape").splitlines()
    return {fields[5] for line in lines if len(fields := line.split(maxsplit=5)) > 5}
