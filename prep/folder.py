"""A source that lies in a folder, as plain files. Links are not followed."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from prep.files import UNKNOWN_CRC, Entry, FileTable, changed


class FolderFiles:
    """The regular files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._found: list[tuple[str, os.stat_result]] | None = None

    def _walk(self) -> list[tuple[str, os.stat_result]]:
        return sorted(_regular_files(self.root, ""), key=lambda found: found[0])

    def stamp(self) -> str:
        """Hash of all paths, sizes and modification times."""
        self._found = self._walk()
        state = hashlib.sha256()
        for path, stat in self._found:
            state.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        return state.hexdigest()

    def table(self) -> FileTable:
        """All regular files, as the last stamp saw them."""
        found = self._found if self._found is not None else self._walk()
        sizes = np.array([stat.st_size for _, stat in found], np.int64)
        nothing = np.zeros(len(found), np.int64)
        return FileTable(
            [path for path, _ in found], sizes, np.full(len(found), UNKNOWN_CRC, np.int64), nothing, sizes, nothing
        )

    def reader(self, prefix: str) -> "FolderReader":
        """A reader of entries below `prefix`."""
        return FolderReader(self.root, prefix)

    def close(self) -> None:
        """Nothing to free."""


class FolderReader:
    """Reads files below a folder."""

    def __init__(self, root: Path, prefix: str) -> None:
        self._root = root
        self._start = f"{root}/{prefix}"

    def read(self, entry: Entry) -> bytes:
        """The file's bytes; its size must still be that of the table."""
        try:
            descriptor = os.open(self._start + entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise changed(
                self._root, entry.path, f"cannot be read ({error.strerror}); it was there when prep began"
            ) from error
        try:
            data = os.read(descriptor, entry.size + 1)
            while len(data) < entry.size and (more := os.read(descriptor, entry.size - len(data))):
                data += more
        except OSError as error:
            raise changed(self._root, entry.path, f"cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)
        if len(data) != entry.size:
            raise changed(self._root, entry.path, f"its size changed from {entry.size:,} bytes while prep ran")
        return data


def _regular_files(folder: Path | str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as found:
        for one in found:
            if one.is_dir(follow_symlinks=False):
                yield from _regular_files(one.path, f"{prefix}{one.name}/")
            elif one.is_file(follow_symlinks=False):
                yield prefix + one.name, one.stat(follow_symlinks=False)
