"""Reads a source of plain files in a folder. Symbolic links are followed only with --follow-links."""

import errno
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
        """List all files again; return a hash of their paths, sizes and modification times."""
        stamp, self._found = self._walk()
        return stamp

    def table(self) -> FileTable:
        """All regular files as the last call of `stamp` found them; if `stamp` was not called, they are found now."""
        return self._found if self._found is not None else self._walk()[1]

    def _walk(self) -> tuple[str, FileTable]:
        """Find all files; return the stamp, and the files sorted by path."""
        paths: list[str] = []
        numbers = array("q")  # size and time of each file; whole stat results would take half a kilobyte per file
        left_out: LeftOut = []
        folders: list[str] = []
        for path, seen in _Walk(self.root, left_out, folders, follow=self._follow).files():
            paths.append(path)
            numbers.extend((seen.st_size, seen.st_mtime_ns))
        order = sorted(range(len(paths)), key=paths.__getitem__)
        state = hashlib.sha256()
        for row in order:
            line = f"{paths[row]}\0{numbers[2 * row]}\0{numbers[2 * row + 1]}\n"
            state.update(line.encode("utf-8", "surrogateescape"))
        sizes, times = np.ascontiguousarray(np.array(numbers, np.int64).reshape(-1, 2)[np.array(order, np.int64)].T)
        nothing = np.zeros(len(paths), np.int64)
        crcs = np.full(len(paths), UNKNOWN_CRC, np.int64)
        self.left_out = sorted(left_out)
        paths = [paths[row] for row in order]
        self.empty = without_files(folders, paths, [path for path, _ in self.left_out])
        return state.hexdigest(), FileTable(paths, sizes, crcs, nothing, sizes, nothing, times)

    def reader(self, prefix: str) -> "FolderReader":
        """A reader of entries below `prefix`."""
        return FolderReader(self.root, prefix, follow=self._follow)

    def unpack(self) -> None:
        """Do nothing: files are read in place."""

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class FolderReader:
    """Reads files below a folder."""

    def __init__(self, root: Path, prefix: str, *, follow: bool = False) -> None:
        self._root = root
        self.prefix = prefix
        self._start = f"{root}/{prefix}"
        self._follow = follow
        self._flags = os.O_RDONLY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)

    def is_remote(self, _: str) -> bool:
        """Return False: all files are on a disk."""
        return False

    def read(self, entry: Entry) -> bytes:
        """The bytes of the file. Raises DataError if the file's size differs from the size in the table."""
        if entry.size > MAX_FILE_BYTES:
            raise changed(self._root, entry.path, f"the file has {entry.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        return b"".join(self._parts(entry, entry.size + 1))

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of the file in parts."""
        return self._parts(entry, CHUNK)

    def start(self, entry: Entry, size: int) -> bytes:
        """The first bytes of the file."""
        descriptor = self._open(entry)
        try:
            return os.pread(descriptor, size, 0)
        except OSError as error:
            raise changed(self._root, entry.path, f"the file cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)

    def time(self, entry: Entry) -> int:
        """The time of the file's last change in nanoseconds; 0 if the file does not exist or cannot be accessed."""
        try:
            return os.stat(self._path(entry), follow_symlinks=self._follow).st_mtime_ns  # noqa: PTH116  the hot loop's
        except OSError:
            return 0

    def _path(self, entry: Entry) -> str:
        return entry.path if entry.path.startswith("/") else self._start + entry.path  # listings have absolute paths

    def _parts(self, entry: Entry, most: int) -> Iterator[bytes]:
        """The file in parts of at most `most` bytes.

        One byte more than the size is requested, to notice if the file has grown.
        """
        descriptor = self._open(entry)
        left = entry.size
        try:
            while left >= 0 and (data := os.read(descriptor, min(left + 1, most))):
                left -= len(data)
                yield data
        except OSError as error:
            refuse_limit(error)
            raise changed(self._root, entry.path, f"the file cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)
        if left:
            raise changed(
                self._root, entry.path, f"the file had {entry.size:,} bytes when prep listed it, but its size changed"
            )

    def _open(self, entry: Entry) -> int:
        try:
            return os.open(self._path(entry), self._flags)
        except OSError as error:
            refuse_limit(error)
            raise changed(
                self._root, entry.path, f"the file cannot be read ({error.strerror}); it existed when prep began"
            ) from error


class _Walk:
    """Finds all files and folders below a folder.

    Entries that are neither files nor folders are added to `left_out`; folders are added to `folders`, with a slash at
    the end.
    """

    def __init__(self, root: Path, left_out: LeftOut, folders: list[str], *, follow: bool) -> None:
        self._root, self._left_out, self._folders, self._follow = root, left_out, folders, follow

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the path and the stat result of each file at any depth.

        Raises DataError if a folder cannot be listed.
        """
        try:
            yield from self._walk()
        except OSError as error:
            refuse_limit(error)
            raise DataError(
                f"{error.filename or self._root}: cannot be read ({error.strerror}). Ask its owner for permission, or "
                "move it out of the source"
            ) from error

    def _walk(self) -> Iterator[tuple[str, os.stat_result]]:
        real = self._root.resolve()
        around: _Places = tuple(_place(one.stat()) for one in (real, *real.parents)) if self._follow else ()
        pending = [(str(self._root), "", around)]  # folders that are not open yet; only one is open at a time
        while pending:
            folder, prefix, around = pending.pop()
            with os.scandir(folder) as found:
                for one in found:
                    path = prefix + one.name
                    if not self._is_folder(one):
                        if (seen := self._file(one, path)) is not None:
                            yield path, seen
                    elif (inside := self._inside(one, path, around)) is not None:
                        self._folders.append(f"{path}/")
                        pending.append((one.path, f"{path}/", inside))

    def _inside(self, one: "os.DirEntry[str]", path: str, around: "_Places") -> "_Places | None":
        """Return device and inode of the folder `one` and of all folders above it; empty if links are not followed.

        If `one` is a link to a folder that contains the link, following the link would never end. In this case, add the
        link to `left_out` and return None.
        """
        if not self._follow:
            return ()
        place = _place(one.stat())
        if one.is_symlink() and place in around:
            self._left_out.append((path, "a symbolic link to a folder that contains it"))
            return None
        return (*around, place)

    def _is_folder(self, one: "os.DirEntry[str]") -> bool:
        try:
            return one.is_dir(follow_symlinks=self._follow)
        except OSError as error:
            _refuse_unless_nowhere(one, error)
            return False

    def _file(self, one: "os.DirEntry[str]", path: str) -> os.stat_result | None:
        """Return the stat result of a file.

        Add anything else, such as a link that is not followed, to `left_out` and return None.
        """
        if one.is_symlink() and not self._follow:
            self._left_out.append((path, SYMBOLIC))
            return None
        try:
            seen = one.stat(follow_symlinks=self._follow)
        except OSError as error:
            _refuse_unless_nowhere(one, error)
            self._left_out.append((path, "a symbolic link that leads nowhere"))  # or a loop of links
            return None
        if stat.S_ISREG(seen.st_mode):
            return seen
        self._left_out.append((path, SPECIAL))
        return None


_Places = tuple[tuple[int, int], ...]  # device and inode of folders


def _place(seen: os.stat_result) -> tuple[int, int]:
    return seen.st_dev, seen.st_ino


def _refuse_unless_nowhere(one: "os.DirEntry[str]", error: OSError) -> None:
    """Raise `error` again, except for a link whose target does not exist.

    Other errors must not be ignored, because files that exist but cannot be read would be omitted silently.
    """
    if not one.is_symlink() or error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
        raise error
