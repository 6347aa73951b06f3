"""Reads a listing of images: a CSV, JSON lines or Parquet file with columns for path, label and perhaps split.

Relative paths start at the folder of the listing and must stay inside this folder. Absolute paths and URLs may lead
anywhere. The listing itself may be at a URL.
"""

import hashlib
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.sources.class_order import classes_of, gaps
from headrace.prep.sources.file_at import LocalFile, RemoteFile, file_at
from headrace.prep.sources.files import SYMBOLIC, UNKNOWN_CRC, Entry, FileTable, LeftOut, Reader
from headrace.prep.sources.labelled import check_splits, odd_splits, usual_first
from headrace.prep.sources.listed import ListedSource
from headrace.prep.sources.listed_files import Seen, States, listed_reader
from headrace.prep.sources.listing_rows import Item, rows_of, wrong_row
from headrace.prep.sources.paths import LEADS_OUT
from headrace.prep.sources.splits import fraction_to_take, refuse_two_validations, split_of
from headrace.prep.sources.table import CHUNK, ROW, ByPath, Chunk, Room, joined
from headrace.prep.sources.unpacked import path_of
from headrace.shards import store
from headrace.shards.errors import DataError
from headrace.shards.manifest import class_list
from headrace.shards.urls import Location, without_secrets

LAYOUT = "listing"
ENDINGS = (".csv", ".jsonl", ".parquet")
_REMEDIES = {
    LEADS_OUT: "Put the images into it, give absolute paths, or give --follow-links if the path goes through a link",
    SYMBOLIC: "Give --follow-links to read the targets of links",
}


class ListingFiles:
    """The files that a listing names.

    The rows of the listing are copied into a file in the folder `room`, and read from this file in chunks.
    """

    def __init__(self, root: Location, room: Path, options: Options) -> None:
        self.root = root
        self._file = file_at(root)
        self.left_out: LeftOut = []
        self.empty: list[str] = []
        self._options = options
        self._folder = self._file.folder
        self._room = room
        self._rows: _Listed | None = None

    def stamp(self) -> str:
        """The hash of the listing, and of the sizes and modification times of the files that it names."""
        with self._on_a_disk() as at:
            with at.open("rb") as stream:
                state = hashlib.file_digest(stream, "sha256")
            if self._rows is None or not self._rows.is_sorted:  # a sorted table is in use and must stay
                self.close()
                self._rows = _Listed(Room(self._room), self._states(at, state))
            else:
                deque(self._states(at, state), maxlen=0)
        return state.hexdigest()

    @contextmanager
    def _on_a_disk(self) -> Iterator[Path]:
        """A context with a path from which the listing can be read.

        A listing at a URL is first copied to an unnamed file.
        """
        if isinstance(self._file, LocalFile):
            yield Path(str(self.root))
            return
        with store.writing(self._room), tempfile.TemporaryFile(dir=self._room) as stream:
            self._file = RemoteFile(self._file.url)
            stream.writelines(self._file.pieces())
            stream.flush()
            yield path_of(cast(BinaryIO, stream))

    def _states(self, at: Path, state: Any) -> Iterator[tuple[Item, Seen]]:
        """Yield each row with size and time of its file; size and time are also added to the hash `state`."""
        known = States(self._folder, lambda: rows_of(self.root, at, self._options), follow=self._options.follow_links)
        for item in rows_of(self.root, at, self._options):
            try:
                seen = known.of(item)
            except DataError as error:
                remedy = _REMEDIES.get(str(error), "Correct the listing or add the file")
                raise DataError(f"{self.root}: {without_secrets(item.path)}: {error}. {remedy}") from error
            state.update(f"{seen.bytes} {seen.time}\n".encode())
            yield item, seen

    def rows(self) -> "_Listed":
        """The rows as the last call of `stamp` read them, sorted by path.

        Raises DataError for a path that occurs twice.
        """
        if self._rows is None:
            self.stamp()
        rows = cast(_Listed, self._rows)
        rows.sort(self.root)
        return rows

    def table(self) -> FileTable:
        """The files of all rows, sorted by path, as a table in memory."""
        return joined(list(self.rows().table.chunks())).files

    def reader(self, prefix: str) -> Reader:
        """A reader of the listed files."""
        return listed_reader(self._folder, prefix, follow=self._options.follow_links)

    @property
    def itself(self) -> Entry:
        """The entry that describes the listing itself as a file."""
        return Entry(self.root.name, self._file.size, UNKNOWN_CRC, 0, 0, 0)

    def unpack(self) -> None:
        """Do nothing: files are read in place."""

    def close(self) -> None:
        """Remove the stored rows."""
        if self._rows is not None:
            self._rows.room.close()
            self._rows = None


class _Listed:
    """The rows of a listing in a table on the disk.

    Labels and splits are numbered in the order in which they first occur.
    """

    def __init__(self, room: Room, items: Iterator[tuple[Item, Seen]]) -> None:
        self.room, self.table = room, room.table()
        self._number: dict[str, int] = {}
        self._split: dict[str, int] = {}
        self.is_sorted = False
        while some := list(islice(items, CHUNK)):
            self.table.add(self._chunk(some))

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of their numbers."""
        return list(self._number)

    @property
    def words(self) -> list[str]:
        """The listing's names for its splits, in the order of their numbers."""
        return list(self._split)

    def _chunk(self, some: list[tuple[Item, Seen]]) -> Chunk:
        rows = np.zeros(len(some), ROW)
        rows["label"] = [self._number.setdefault(one.label, len(self._number)) for one, _ in some]
        rows["split"] = [self._split.setdefault(one.split, len(self._split)) for one, _ in some]
        rows["sizes"] = rows["packed"] = [seen.bytes for _, seen in some]
        rows["crcs"] = UNKNOWN_CRC
        rows["times"] = [seen.time for _, seen in some]
        rows["rank"] = [one.number for one, _ in some]
        return Chunk(rows, [one.path for one, _ in some])

    def sort(self, root: Location) -> None:
        """Sort the rows by path, unless they are sorted already. Raises DataError for a path that occurs twice."""
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
    remarks = [*odd_splits(names), *gaps(classes, np.bincount(number, minlength=len(classes)))]
    others, reader = FileTable.of([files.itself]), files.reader("")
    code = np.array([names.index(one) for one in splits], np.int64)
    source = ListedSource(LAYOUT, infos, names, others, files, reader, listed.table, number, code, remarks=remarks)
    return source.divided(fraction_to_take(files, names, options), options.seed)
