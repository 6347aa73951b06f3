"""A listing of images: a CSV, JSON lines or Parquet file with columns for path, label and perhaps split.

Relative paths begin in the listing's own folder and stay inside it; absolute ones lead anywhere.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.prep.command.options import Options
from headrace.prep.sources.columns import cells, find_columns, rows_of_csv, rows_of_jsonl, text_of
from headrace.prep.sources.files import SYMBOLIC, UNKNOWN_CRC, Entry, FileTable, LeftOut
from headrace.prep.sources.folder import FolderReader
from headrace.prep.sources.labelled import Labelled, Layout, labelled_source
from headrace.prep.sources.paths import LEADS_OUT, stat_listed
from headrace.prep.sources.source import Source
from headrace.shards.errors import DataError
from headrace.shards.open_files import refuse_limit

LAYOUT = "listing"
ENDINGS = (".csv", ".jsonl", ".parquet")
SPLIT = re.compile("[a-z][a-z0-9_-]{0,31}")  # what a manifest takes for the name of one
_REMEDIES = {
    LEADS_OUT: "Put the images below it, give absolute paths, or --follow-links where it leads through a link",
    SYMBOLIC: "Give --follow-links to read what links lead to",
}
_Item = tuple[str, str, str]  # path, label, split
_Rows = Iterable[tuple[int, dict[str, Any]]]
_ROWS = 4096  # of a Parquet file in memory at a time


class ListingFiles:
    """The files that a listing names."""

    def __init__(self, root: Path, options: Options) -> None:
        self.root = root
        self._options = options
        self.left_out: LeftOut = []
        self.empty: list[str] = []
        self._folder = root.absolute().parent
        self._follow = options.follow_links

    @cached_property
    def items(self) -> list[_Item]:
        """What it lists, in its order."""
        read = _parquet if self.root.suffix.lower() == ".parquet" else _text_file
        return read(self.root, self._options)

    def stamp(self) -> str:
        """Hash of the listing, and of size and modification time of the files that it names."""
        with self.root.open("rb") as stream:
            state = hashlib.file_digest(stream, "sha256")
        for path, _, _ in self.items:
            seen = self._stat(path)
            state.update(f"{seen.st_size} {seen.st_mtime_ns}\n".encode())
        return state.hexdigest()

    def _stat(self, path: str) -> os.stat_result:
        try:
            return stat_listed(self._folder, path, follow=self._follow)
        except DataError as error:
            remedy = _REMEDIES.get(str(error), "Correct the listing or add the file")
            raise DataError(f"{self.root}: {path}: {error}. {remedy}") from error

    def table(self) -> FileTable:
        """The files in the listing's order."""
        entries = []
        for path, _, _ in self.items:
            seen = self._stat(path)
            entries.append(Entry(path, seen.st_size, UNKNOWN_CRC, 0, seen.st_size, 0, seen.st_mtime_ns))
        return FileTable.of(entries)

    def reader(self, prefix: str) -> FolderReader:
        """A reader of the listed files."""
        return FolderReader(self._folder, prefix, follow=self._follow)

    def unpack(self) -> None:
        """Files are read where they are."""

    def close(self) -> None:
        """Nothing to free."""


def open_listing(files: ListingFiles, options: Options) -> Source:
    """The source that the listing describes."""
    order = sorted(range(len(files.items)), key=lambda row: files.items[row][0])
    samples = [Labelled(row, *files.items[row][1:]) for row in order]
    itself = Entry(files.root.name, files.root.stat().st_size, UNKNOWN_CRC, 0, 0, 0)
    layout = Layout(LAYOUT, FileTable.of([itself]))
    return labelled_source(files, files.table(), files.reader(""), samples, layout, [], options)


def _text_file(root: Path, options: Options) -> list[_Item]:
    rows = rows_of_jsonl if root.suffix.lower() == ".jsonl" else rows_of_csv
    try:
        with root.open(encoding="utf-8-sig", newline="") as stream:
            return items_of(root, rows(stream, root, options))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{root}: not a CSV file in UTF-8 ({error}). Correct it and try again") from error


def _parquet(root: Path, options: Options) -> list[_Item]:
    try:
        with pq.ParquetFile(root, page_checksum_verification=True) as file:
            return items_of(root, enumerate(_parquet_rows(root, file, options), start=1))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError):
            refuse_limit(error)
        raise DataError(f"{root}: not a sound Parquet file ({error}). Get it again") from error


def _parquet_rows(root: Path, file: pq.ParquetFile, options: Options) -> Iterator[dict[str, Any]]:
    """The rows, of which some thousands are in memory at a time: a few bytes can hold millions of equal ones."""
    columns = find_columns(root, file.schema_arrow.names, options)
    names = [name for name in columns if name is not None]
    for batch in file.iter_batches(_ROWS, columns=names):
        for row in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
            yield cells(dict(zip(names, row, strict=True)), columns)


def items_of(root: Path, rows: _Rows) -> list[_Item]:
    """Checked rows. Every path occurs once."""
    items: dict[str, _Item] = {}
    texts: dict[str, str] = {}  # one copy of each label is kept
    for number, row in rows:
        try:
            path, label, split = (text_of(row.get(name, "train")).strip() for name in ("path", "label", "split"))
        except UnicodeDecodeError as error:
            raise DataError(f"{root}: row {number}: {error.object[:40]!r} is not UTF-8. Correct the listing") from error
        split = split.lower()
        if not path or not label or not SPLIT.fullmatch(split) or path in items or not path.isprintable():
            why = "needs a path, a label, and a split as train, val or test"
            why = "occurs twice" if path in items else why
            why = why if path.isprintable() else "has unprintable characters"
            raise DataError(f"{root}: row {number} ({ascii(path)[1:-1] or 'no path'}): {why}. Correct the listing")
        items[path] = (path, texts.setdefault(label, label), split)
    if not items:
        raise DataError(f"{root}: it lists no images")
    return list(items.values())
