"""Describes the files of any source: a table of files, and a reader that can be passed to worker processes.

A table consists of columns, because an object for each file would take too much memory in a large prep. A table takes
about 150 bytes per file.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.shards.errors import DataError
from headrace.shards.urls import Location

UNKNOWN_CRC = -1
SYMBOLIC = "a symbolic link, which is not followed"
SPECIAL = "neither a file nor a folder"
REPLACED = "an earlier file of the same name, which a later one replaces, as when tar unpacks them"
READ = "read for labels or names"
HIDDEN = "hidden"
NOT_AN_IMAGE = "not an image"
OTHER_KIND = "an image in a format that is not read"
BESIDE = "an image beside the class folders"
UNLABELLED = "in a split without labels"
BY_CLASSES = "left out by an option: --classes"
BY_PER_CLASS = "left out by an option: --per-class"
BY_EMPTY_CLASS = "left out by an option: --on-empty-class drop"
DUPLICATE = "a duplicate of a file that is kept"
CONFLICT = "a duplicate of a file of another class"
KNOWN = "in the set already, as an image with the same bytes"
KNOWN_OTHERWISE = "in the set already, as an image with the same bytes in another class"
KNOWN_PATH = "in the set already, with the same path but other bytes"
LeftOut = list[tuple[str, str]]  # path in the source, and the reason
CHUNK = 1 << 16  # bytes per part of a file that is read in parts
MAX_FILE_BYTES = 512 << 20  # no image file is larger; a header that says so is damaged or hostile


class Entry(NamedTuple):
    """One file: its path inside the source, its size and CRC-32 (or UNKNOWN_CRC), and its position in an archive.

    `time` is the time of the last change of the file, or of its archive, in nanoseconds; 0 if the CRC-32 is known.
    """

    path: str
    size: int
    crc32: int
    offset: int
    packed: int
    method: int
    time: int = 0


class Unused(NamedTuple):
    """A source file that is not a sample, or a folder of such files (its path ends with a slash), and the reason."""

    path: str
    reason: str
    files: int = 1


@dataclass(frozen=True)
class FileTable:
    """Files as columns, with one row for each file; `Entry` describes the columns."""

    paths: list[str]
    sizes: NDArray[np.int64]
    crcs: NDArray[np.int64]
    offsets: NDArray[np.int64]
    packed: NDArray[np.int64]
    methods: NDArray[np.int64]
    times: NDArray[np.int64]

    @classmethod
    def of(cls, entries: list[Entry]) -> "FileTable":
        """The table of these entries, in this order."""
        numbers = np.array([entry[1:] for entry in entries], np.int64).reshape(len(entries), 6)
        return cls([entry.path for entry in entries], *(np.ascontiguousarray(column) for column in numbers.T))

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry, self.paths, *(column.tolist() for column in self._numbers()))

    def take(self, rows: NDArray[np.int64]) -> "FileTable":
        """The entries with the indices `rows`, in this order."""
        paths = self.paths
        return FileTable([paths[row] for row in rows.tolist()], *(column[rows] for column in self._numbers()))

    def below(self, folder: str, rows: NDArray[np.int64]) -> "FileTable":
        """The entries with the indices `rows`, with paths relative to `folder`, which is "" or ends with a slash."""
        part = self.take(rows)
        return part.renamed([path[len(folder) :] for path in part.paths])

    def renamed(self, paths: list[str]) -> "FileTable":
        """The same files in the same order, with the given paths."""
        return FileTable(paths, *self._numbers())

    def _numbers(self) -> tuple[NDArray[np.int64], ...]:
        return self.sizes, self.crcs, self.offsets, self.packed, self.methods, self.times


class Reader(Protocol):
    """Reads the files that the entries of a table describe.

    A reader can be pickled; it opens files or connections at its first read.
    """

    prefix: str
    """The prefix that was removed from the paths of the entries; the reader adds it again."""

    def is_remote(self, path: str) -> bool:
        """Whether the file is read from a server. If so, requesting several files at the same time is faster."""
        ...

    def read(self, entry: Entry) -> bytes:
        """The bytes of the file, checked against the table. Raises DataError if the file has changed or is missing."""
        ...

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The bytes in parts of at most CHUNK bytes.

        If the file differs from the table, the error may be raised only after the last part.
        """
        ...

    def start(self, entry: Entry, size: int) -> bytes:
        """The first `size` bytes of the file, or all bytes of a shorter file."""
        ...

    def time(self, entry: Entry) -> int:
        """The time of the file's last change in nanoseconds, like the times in the table; 0 if its CRC-32 is known."""
        ...


class Files(Protocol):
    """The files of a source."""

    @property
    def root(self) -> Location:
        """The location of the source."""

    left_out: LeftOut
    """Files without an entry in `table`, each with the reason: links that are not followed, and special files."""
    empty: list[str]
    """Folders without any file, each with a slash at its end; an empty list if the source does not list folders."""

    def stamp(self) -> str:
        """A text that differs whenever the files may have changed; the contents of the files are not read for it."""
        ...

    def table(self) -> FileTable:
        """All regular files, sorted by their path inside the source."""
        ...

    def reader(self, prefix: str) -> Reader:
        """A reader for entries whose paths had `prefix` removed."""
        ...

    def unpack(self) -> None:
        """Make the temporary copy that `reader` needs for some sources, such as compressed tars.

        A call of `table` makes this copy too.
        """
        ...

    def close(self) -> None:
        """Remove temporary copies, which are needed only for reading."""
        ...


def without_files(folders: Iterable[str], *paths: list[str]) -> list[str]:
    """The folders, sorted, that contain none of the paths. Folders end with a slash; `paths` are sorted lists."""
    return sorted(one for one in set(folders) if not any(leads_to(one, some) for some in paths))


def leads_to(folder: str, paths: list[str]) -> bool:
    """Whether any of the sorted `paths` is in `folder`, which ends with a slash."""
    at = bisect_left(paths, folder)
    return at < len(paths) and paths[at].startswith(folder)


def changed(root: Location, path: str, what: str) -> DataError:
    """The error for a file that differs from its entry in the table; `what` states the difference."""
    return DataError(
        f"{root}: {path}: {what}. Check that the source is complete and that nothing writes to it, then run prep again"
    )
