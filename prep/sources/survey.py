"""Surveys a source before its layout is known: separates hidden files, candidates for images, and others.

If the name of a file does not end like that of an image, the first bytes of the file are read. Several threads read the
files of folders and buckets, which may be on a network. A file that is not a candidate for an image is either listed in
the report or used by the layout in another way, for example as a list of classes.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources import kinds
from headrace.prep.sources.bucket import BucketFiles
from headrace.prep.sources.files import BESIDE, HIDDEN, Files, FileTable, LeftOut, Reader, Unused
from headrace.prep.sources.folder import FolderFiles
from headrace.shards.counts import counted, first_of
from headrace.shards.errors import DataError

_SHOWN = 20  # names that an error lists
_THREADS = 16  # most of their time is spent waiting for a disk
_BLOCK = 64  # files that a thread reads one after another


@dataclass(frozen=True)
class Survey:
    """The files of a source that are not hidden.

    `why_not` has the reason why a file is not an image, for each row of the table; "" for candidates. `left_out` are
    links and unsupported files, `empty` are folders without any file, and `hidden` are hidden files and whole hidden
    folders.
    """

    files: Files
    table: FileTable
    why_not: list[str]
    left_out: LeftOut
    empty: list[str]
    hidden: list[Unused]

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """The rows of the candidates for images."""
        return np.array([row for row, why in enumerate(self.why_not) if not why], np.int64)

    def unused(
        self, root: str, rows: NDArray[np.bool_], reasons: dict[int, str], parts: dict[str, str]
    ) -> list[Unused]:
        """The files of the source that are not samples, with paths relative to the folder `root`.

        `rows` is a mask: true for the rows of the table that the layout does not use. `reasons` has the layout's
        reasons for some of these rows; all other images in these rows are reported as being beside the class folders.
        `parts` maps folders, whose names end with a slash, to reasons; each of these folders gets a single entry.
        """
        found = [Unused(path, reason) for path, reason in self.left_out]
        found += [
            Unused(self.table.paths[row], reasons.get(row) or self.why_not[row] or BESIDE)
            for row in np.flatnonzero(rows).tolist()
        ]
        whole = dict.fromkeys(parts, 0)
        single = []
        for one in found:
            part = next((part for part in parts if one.path.startswith(part)), "")
            if part:
                whole[part] += 1
            else:
                single.append(one)
        found = single + [Unused(part, parts[part], count) for part, count in whole.items() if count]
        return [one._replace(path=relative(one.path, root)) for one in (*found, *self.hidden)]


def survey(files: Files) -> Survey:
    """Survey all files of a source. Raises DataError for names that are not UTF-8 or have unprintable characters."""
    table = files.table()
    hidden_at = _Hidden()
    shown = np.array([not hidden_at.add(path) for path in table.paths], bool)
    left_out = [one for one in files.left_out if not hidden_at.add(one[0])]
    empty = [one for one in files.empty if not hidden_at.covers(one)]
    if not shown.all():
        table = table.take(np.flatnonzero(shown))
    _refuse_odd_names(files, [*table.paths, *(path for path, _ in left_out), *empty])
    return Survey(files, table, _why_not(files, table), left_out, empty, hidden_at.lines())


def relative(path: str, root: str) -> str:
    """The path relative to the folder `root`, which ends with a slash or is ""."""
    if path.startswith(root):
        return path[len(root) :]
    parts, folders = path.split("/"), root.split("/")[:-1]
    shared = 0
    while shared < len(parts) - 1 and parts[shared] == folders[shared]:
        shared += 1
    return "../" * (len(folders) - shared) + "/".join(parts[shared:])


class _Hidden:
    """Counts hidden files, and for each hidden folder all files in it."""

    def __init__(self) -> None:
        self._top: dict[str, str] = {"": ""}  # folder -> its first hidden part, with a slash, or ""
        self._counts: dict[str, int] = {}

    def add(self, path: str) -> bool:
        """Count the file if it is hidden; return whether it is hidden."""
        folder, _, name = path.rpartition("/")
        key = self._top.get(folder)
        if key is None:
            key = self._hidden_part(folder)
        if not key and kinds.is_hidden(name):
            key = path
        if key:
            self._counts[key] = self._counts.get(key, 0) + 1
        return bool(key)

    def covers(self, folder: str) -> bool:
        """Whether a folder is hidden or inside a hidden folder."""
        return bool(self._hidden_part(folder.rstrip("/")))

    def lines(self) -> list[Unused]:
        """An entry for each hidden file, and one entry for each hidden folder, which stands for all files inside."""
        return [Unused(path, HIDDEN, count) for path, count in self._counts.items()]

    def _hidden_part(self, folder: str) -> str:
        unknown = []
        while folder not in self._top:
            unknown.append(folder)
            folder = folder.rpartition("/")[0]
        known = self._top[folder]
        for one in reversed(unknown):
            known = known or (f"{one}/" if kinds.is_hidden(one.rpartition("/")[2]) else "")
            self._top[one] = known
        return known


def _why_not(files: Files, table: FileTable) -> list[str]:
    """The reason why each file is not a candidate for an image; "" for a candidate."""
    why = [""] * len(table)
    asked = np.array([row for row, path in enumerate(table.paths) if not kinds.has_image_ending(path)], np.int64)
    blocks = [asked[first : first + _BLOCK] for first in range(0, len(asked), _BLOCK)]
    look = partial(_look, files.reader(""), table)
    if isinstance(files, FolderFiles | BucketFiles) and len(blocks) > 1:
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(look, blocks))
    else:
        found = [look(block) for block in blocks]
    for block, reasons in zip(blocks, found, strict=True):
        for row, reason in zip(block.tolist(), reasons, strict=True):
            why[row] = reason
    return why


def _look(reader: Reader, table: FileTable, rows: NDArray[np.int64]) -> list[str]:
    """Read the first bytes of the files in these rows; return why each file is not a candidate, or ""."""
    entries = table.take(rows)
    return [kinds.why_not_read(one.path, reader.start(one, kinds.START) if one.size else b"") for one in entries]


def _refuse_odd_names(files: Files, paths: list[str]) -> None:
    """Raise DataError for names that are not UTF-8 or have unprintable characters: such names are easily confused."""
    odd = [path for path in paths if not path.isprintable()]
    if odd:
        raise DataError(
            f"{files.root}: {counted(len(odd), 'name is', 'names are')} not UTF-8, or with unprintable characters: "
            f"{first_of([*map(ascii, odd)], _SHOWN)}. Rename the files"
        )
