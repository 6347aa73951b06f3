"""The build backend of setuptools, changed so that each build of the same files gives archives with the same bytes.

setuptools copies the times and modes of the checkout's files into an sdist, and their modes into a wheel. Here all
members of an archive get the same time, and all members of an sdist the same owner. Folders and executable files get
the mode 0755, all other files 0644. The time is SOURCE_DATE_EPOCH in seconds since 1970, but at least the beginning of
1980, which is the earliest time that a zip can hold.
"""

import gzip
import os
import tarfile
import time
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]
Settings = dict[str, str | list[str] | None] | None
_FIRST = 315532800  # 1980-01-01


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Build the sdist in the folder `sdist_directory`; return the file's name."""
    name: str = build_meta.build_sdist(sdist_directory, config_settings)
    same_sdist(Path(sdist_directory, name))
    return name


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build the wheel in the folder `wheel_directory`; return the file's name."""
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    same_wheel(Path(wheel_directory, name))
    return name


def same_sdist(path: Path) -> None:
    """Rewrite the sdist `path` with its members sorted by name, and with the time, owner and modes described above."""
    second, part = _second(), path.with_name(f"{path.name}.part")
    with (
        tarfile.open(path) as old,
        part.open("wb") as file,
        gzip.GzipFile("", "wb", mtime=second, fileobj=file) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = second, 0, 0, "", ""
            member.mode, member.pax_headers = _mode(member.mode, folder=member.isdir()), {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    part.replace(path)


def same_wheel(path: Path) -> None:
    """Rewrite the wheel `path` with its members in the same order, and with the time and modes described above."""
    moment, part = time.gmtime(_second())[:6], path.with_name(f"{path.name}.part")
    with ZipFile(path) as old, ZipFile(part, "w", ZIP_DEFLATED) as new:
        for member in old.infolist():
            info = ZipInfo(member.filename, moment)
            info.create_system = 3  # Unix, on which the mode below is understood
            info.external_attr = (0o100000 | _mode(member.external_attr >> 16, folder=False)) << 16
            new.writestr(info, old.read(member), ZIP_DEFLATED)
    part.replace(path)


def _mode(mode: int, *, folder: bool) -> int:
    return 0o755 if folder or mode & 0o100 else 0o644


def _second() -> int:
    return max(int(os.environ.get("SOURCE_DATE_EPOCH") or "0"), _FIRST)
