"""A source that lies in a folder, as plain files. Links are followed only if that is asked for."""

import hashlib
import os
import stat
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headrace.prep.sources.files import (
    CHUNK,
    MAX_FILE_BYTES,
    SPECIAL,
    SYMBOLIC,
    UNKNOWN_CRC,
    Entry,
    FileTable,
    LeftOut,
    changed,
    without_files,
)
from headrace.shards.errors import DataError
from headrace.shards.open_files import refuse_limit


class FolderFiles:
    """The regular files below a folder."""

    def __init__(self, root: Path, *, follow: bool = False) -> None:
        self.root = root
        self._follow = follow
        self.left_out: LeftOut = []
        self.empty: list[str] = []
        self._found: FileTable | None = None

    def stamp(self) -> str:
        """Hash of all paths, sizes and modification times."""
        stamp, self._found = self._walk()
        return stamp

    def table(self) -> FileTable:
        """All regular files, as the last stamp saw them."""
        return self._found if self._found is not None else self._walk()[1]

    def _walk(self) -> tuple[str, FileTable]:
        """The stamp, and the files sorted by path."""
        paths: list[str] = []
        numbers = array("q")  # size and time of each: the stat results themselves would be half a kilobyte a file
        left_out: LeftOut = []
        folders: list[str] = []
        for path, seen in _Walk(self.root, left_out, folders, follow=self._follow).files(self.root):
            paths.append(path)
            numbers.extend((seen.st_size, seen.st_mtime_ns))
        order = sorted(range(len(paths)), key=paths.__getitem__)
        state = hashlib.sha256()
        for row in order:
            line = f"{paths[row]}\0{numbers[2 * row]}\0{numbers[2 * row + 1]}\n"
            state.update(line.encode("utf-8", "surrogateescape"))
        sizes = np.array(numbers, np.int64)[::2][np.array(order, np.int64)]
        nothing = np.zeros(len(paths), np.int64)
        crcs = np.full(len(paths), UNKNOWN_CRC, np.int64)
        self.left_out = sorted(left_out)
        paths = [paths[row] for row in order]
        self.empty = without_files(folders, paths, [path for path, _ in self.left_out])
        return state.hexdigest(), FileTable(paths, sizes, crcs, nothing, sizes, nothing)

    def reader(self, prefix: str) -> "FolderReader":
        """A reader of entries below `prefix`."""
        return FolderReader(self.root, prefix, follow=self._follow)

    def close(self) -> None:
        """Nothing to free."""


class FolderReader:
    """Reads files below a folder."""

    def __init__(self, root: Path, prefix: str, *, follow: bool = False) -> None:
        self._root = root
        self._start = f"{root}/{prefix}"
        self._flags = os.O_RDONLY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)

    def read(self, entry: Entry) -> bytes:
        """The file's bytes; its size must still be that of the table."""
        if entry.size > MAX_FILE_BYTES:
            raise changed(self._root, entry.path, f"{entry.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        return b"".join(self._parts(entry, entry.size + 1))

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The same in parts."""
        return self._parts(entry, CHUNK)

    def start(self, entry: Entry, size: int) -> bytes:
        """The file's first bytes."""
        descriptor = self._open(entry)
        try:
            return os.pread(descriptor, size, 0)
        except OSError as error:
            raise changed(self._root, entry.path, f"cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)

    def _parts(self, entry: Entry, most: int) -> Iterator[bytes]:
        """The file in parts of at most `most` bytes; one byte beyond its size is asked for, and may not be there."""
        descriptor = self._open(entry)
        left = entry.size
        try:
            while left >= 0 and (data := os.read(descriptor, min(left + 1, most))):
                left -= len(data)
                yield data
        except OSError as error:
            refuse_limit(error)
            raise changed(self._root, entry.path, f"cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)
        if left:
            raise changed(self._root, entry.path, f"its size changed from {entry.size:,} bytes while prep ran")

    def _open(self, entry: Entry) -> int:
        try:
            path = entry.path if entry.path.startswith("/") else self._start + entry.path  # of a listing
            return os.open(path, self._flags)
        except OSError as error:
            refuse_limit(error)
            raise changed(
                self._root, entry.path, f"cannot be read ({error.strerror}); it was there when prep began"
            ) from error


class _Walk:
    """A walk over all that lies below a folder.

    What is neither file nor folder is added to `left_out`, and each folder to `folders`, with a slash at its end.
    """

    def __init__(self, root: Path, left_out: LeftOut, folders: list[str], *, follow: bool) -> None:
        self._left_out, self._folders, self._follow = left_out, folders, follow
        top = root.stat()
        self._above = [(top.st_dev, top.st_ino)]  # the folders that the walk is in, if it follows links

    def files(self, folder: Path | str) -> Iterator[tuple[str, os.stat_result]]:
        """Path and state of each file below `folder`, however deep. Raises DataError where it cannot be listed."""
        try:
            yield from self._walk(folder)
        except OSError as error:
            refuse_limit(error)
            raise DataError(
                f"{error.filename or folder}: cannot be read ({error.strerror}). Have its owner allow it, or move it "
                "out of the source"
            ) from error

    def _walk(self, folder: Path | str) -> Iterator[tuple[str, os.stat_result]]:
        inside = [(os.scandir(folder), "")]  # the folders that it is in: no depth is too much
        try:
            while inside:
                found, prefix = inside[-1]
                if (one := next(found, None)) is None:
                    self._leave(inside)
                    continue
                path = prefix + one.name
                if self._is_entered(one, path):
                    self._folders.append(f"{path}/")
                    inside.append((os.scandir(one.path), f"{path}/"))
                elif (seen := self._file(one, path)) is not None:
                    yield path, seen
        finally:
            for found, _ in inside:
                found.close()

    def _leave(self, inside: "list[tuple[os._ScandirIterator[str], str]]") -> None:
        found, _ = inside.pop()
        found.close()
        if self._follow and inside:
            self._above.pop()

    def _is_entered(self, one: "os.DirEntry[str]", path: str) -> bool:
        """Whether the walk goes into it: it is a folder, or with `follow` a link to one that it is not in already."""
        link = one.is_symlink()
        if not self._is_folder(one):
            return False
        if self._follow:
            seen = one.stat()
            place = (seen.st_dev, seen.st_ino)
            if link and place in self._above:
                self._left_out.append((path, "a symbolic link to a folder that it lies in"))
                return False
            self._above.append(place)
        return True

    def _is_folder(self, one: "os.DirEntry[str]") -> bool:
        try:
            return one.is_dir(follow_symlinks=self._follow)
        except OSError:
            if not one.is_symlink():
                raise
            return False  # a link that leads round in a circle

    def _file(self, one: "os.DirEntry[str]", path: str) -> os.stat_result | None:
        """The state of a file; what is none is left out, but for links that were left out already."""
        if self._is_folder(one):
            return None
        if one.is_symlink() and not self._follow:
            self._left_out.append((path, SYMBOLIC))
            return None
        try:
            seen = one.stat(follow_symlinks=self._follow)
        except OSError:
            if not one.is_symlink():
                raise
            self._left_out.append((path, "a symbolic link that leads nowhere"))  # or round in a circle
            return None
        if stat.S_ISREG(seen.st_mode):
            return seen
        self._left_out.append((path, SPECIAL))
        return None
