"""A listing of images: a CSV, JSON lines or Parquet file with columns for path, label and perhaps split.

Relative paths begin in the listing's own folder and stay inside it; absolute ones lead anywhere.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.sources.class_order import classes_of, gaps
from headrace.prep.sources.files import SYMBOLIC, UNKNOWN_CRC, Entry, FileTable, LeftOut
from headrace.prep.sources.folder import FolderReader
from headrace.prep.sources.labelled import check_splits, odd_splits, usual_first
from headrace.prep.sources.listed import ListedSource
from headrace.prep.sources.listing_rows import Item, rows_of, wrong_row
from headrace.prep.sources.paths import LEADS_OUT, Real, stat_listed
from headrace.prep.sources.splits import fraction_to_take, refuse_two_validations, split_of
from headrace.prep.sources.table import CHUNK, ROW, ByPath, Chunk, Room, joined
from headrace.shards.errors import DataError
from headrace.shards.manifest import class_list

LAYOUT = "listing"
_FOLDERS = 4096  # of which one pass over a listing knows where they really lie
ENDINGS = (".csv", ".jsonl", ".parquet")
_REMEDIES = {
    LEADS_OUT: "Put the images below it, give absolute paths, or --follow-links where it leads through a link",
    SYMBOLIC: "Give --follow-links to read what links lead to",
}


class ListingFiles:
    """The files that a listing names. Its rows lie on the disk of the folder `room`, and some of them in memory."""

    def __init__(self, root: Path, room: Path, options: Options) -> None:
        self.root = root
        self.left_out: LeftOut = []
        self.empty: list[str] = []
        self._options = options
        self._folder = root.absolute().parent
        self._room = room
        self._rows: _Listed | None = None

    def stamp(self) -> str:
        """Hash of the listing, and of size and modification time of the files that it names."""
        with self.root.open("rb") as stream:
            state = hashlib.file_digest(stream, "sha256")
        if self._rows is None or not self._rows.is_sorted:  # once it is, somebody uses it
            self.close()
            self._rows = _Listed(Room(self._room), self._state(state))
        else:
            deque(self._state(state), maxlen=0)
        return state.hexdigest()

    def _state(self, state: Any) -> Iterator[tuple[Item, os.stat_result]]:
        """Each row with the state of its file, which the hash takes in."""
        real = lru_cache(_FOLDERS)(os.path.realpath)
        for item in rows_of(self.root, self._options):
            seen = self._stat(item.path, real)
            state.update(f"{seen.st_size} {seen.st_mtime_ns}\n".encode())
            yield item, seen

    def _stat(self, path: str, real: Real) -> os.stat_result:
        try:
            return stat_listed(self._folder, path, follow=self._options.follow_links, real=real)
        except DataError as error:
            remedy = _REMEDIES.get(str(error), "Correct the listing or add the file")
            raise DataError(f"{self.root}: {path}: {error}. {remedy}") from error

    def rows(self) -> "_Listed":
        """The rows as the last stamp saw them, sorted by path. Raises DataError for a path that occurs twice."""
        if self._rows is None:
            self.stamp()
        return self._rows_sorted()

    def _rows_sorted(self) -> "_Listed":
        if self._rows is None:
            raise ValueError("no row was read")
        self._rows.sort(self.root)
        return self._rows

    def table(self) -> FileTable:
        """The files, sorted by path, in memory."""
        return joined(list(self.rows().table.chunks())).files

    def reader(self, prefix: str) -> FolderReader:
        """A reader of the listed files."""
        return FolderReader(self._folder, prefix, follow=self._options.follow_links)

    def unpack(self) -> None:
        """Files are read where they are."""

    def close(self) -> None:
        """Remove the rows."""
        if self._rows is not None:
            self._rows.room.close()
            self._rows = None


class _Listed:
    """Rows of a listing in a table, with numbers for labels and splits, in the order in which these were seen."""

    def __init__(self, room: Room, items: Iterator[tuple[Item, os.stat_result]]) -> None:
        self.room, self.table = room, room.table()
        self._number: dict[str, int] = {}
        self._split: dict[str, int] = {}
        self.is_sorted = False
        while some := list(islice(items, CHUNK)):
            self.table.add(self._chunk(some))

    @property
    def labels(self) -> list[str]:
        """By number."""
        return list(self._number)

    @property
    def words(self) -> list[str]:
        """What the listing calls its splits, by number."""
        return list(self._split)

    def _chunk(self, some: list[tuple[Item, os.stat_result]]) -> Chunk:
        rows = np.zeros(len(some), ROW)
        rows["label"] = [self._number.setdefault(one.label, len(self._number)) for one, _ in some]
        rows["split"] = [self._split.setdefault(one.split, len(self._split)) for one, _ in some]
        rows["sizes"] = rows["packed"] = [seen.st_size for _, seen in some]
        rows["crcs"] = UNKNOWN_CRC
        rows["times"] = [seen.st_mtime_ns for _, seen in some]
        rows["rank"] = [one.number for one, _ in some]
        return Chunk(rows, [one.path for one, _ in some])

    def sort(self, root: Path) -> None:
        """Sort the rows by path, once. Raises DataError for a path that occurs twice."""
        if self.is_sorted:
            return
        by_path = self.room.table()
        before, twice = ("", 0), list[tuple[int, str]]()
        sorter = ByPath(self.room, self.table)
        for chunk in self.table.chunks():
            sorter.add(chunk)
        for chunk in sorter.sorted():
            by_path.add(chunk)
            paths, numbers = [before[0], *chunk.paths], [before[1], *chunk.rows["rank"].tolist()]
            twice += [(max(numbers[k : k + 2]), paths[k]) for k in range(len(chunk.paths)) if paths[k] == paths[k + 1]]
            before = paths[-1], numbers[-1]
        if twice:
            number, path = min(twice)
            raise wrong_row(root, number, path, "occurs twice")
        self.table, self.is_sorted = by_path, True


def open_listing(files: ListingFiles, options: Options) -> ListedSource:
    """The source that the listing describes."""
    listed, where = files.rows(), files.root
    classes = classes_of(set(listed.labels), where)
    splits = [split_of(word, options) or word for word in listed.words]
    names = sorted(set(splits), key=usual_first)
    refuse_two_validations(where, listed.words, options)
    check_splits(where, names, options, "Give some, or omit the column")
    infos = class_list(((name, name) for name in classes), where)
    number = np.array([{name: label for label, name in enumerate(classes)}[one] for one in listed.labels], np.int64)
    itself = Entry(where.name, where.stat().st_size, UNKNOWN_CRC, 0, 0, 0)
    remarks = [*odd_splits(names), *gaps(classes, np.bincount(number, minlength=len(classes)))]
    others, reader = FileTable.of([itself]), files.reader("")
    code = np.array([names.index(one) for one in splits], np.int64)
    source = ListedSource(LAYOUT, infos, names, others, files, reader, listed.table, number, code, remarks=remarks)
    return source.divided(fraction_to_take(files, names, options), options.seed)
