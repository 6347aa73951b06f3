"""A listing of images: a CSV or Parquet file with the columns path, label and perhaps split.

Paths are relative to the listing's own folder and stay inside it.
"""

import csv
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.prep.command.options import Options
from headrace.prep.sources.files import UNKNOWN_CRC, Entry, FileTable, LeftOut
from headrace.prep.sources.folder import FolderReader
from headrace.prep.sources.source import Listed, Source
from headrace.prep.sources.splits import SPLITS, divided
from headrace.shards.errors import DataError, UsageError
from headrace.shards.labels import are_integers
from headrace.shards.manifest import class_list

LAYOUT = "listing"
ENDINGS = (".csv", ".parquet")
_COLUMNS = ("path", "label", "split")
_Item = tuple[str, str, str]  # path, label, split
_ROWS = 4096  # of a Parquet file in memory at a time


class ListingFiles:
    """The files that a listing names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.items = _parquet(root) if root.suffix.lower() == ".parquet" else _csv(root)
        self.left_out: LeftOut = []
        self.empty: list[str] = []
        self._folder = root.absolute().parent

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
            real = os.path.realpath(self._folder / path)
            if not Path(real).is_relative_to(self._folder.resolve()) or PurePosixPath(path).is_absolute():
                raise DataError(f"{self.root}: {path}: leads out of the listing's folder. Put the images below it")
            found = (self._folder / path).stat()
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.root}: {path}: no such file ({error}). Correct the listing or add the file"
            ) from error
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{self.root}: {path}: not a regular file. Correct the listing")
        return found

    def table(self) -> FileTable:
        """The files in the listing's order."""
        sizes = [self._stat(path).st_size for path, _, _ in self.items]
        return FileTable.of(
            [Entry(one[0], size, UNKNOWN_CRC, 0, size, 0) for one, size in zip(self.items, sizes, strict=True)]
        )

    def reader(self, prefix: str) -> FolderReader:
        """A reader of the listed files."""
        return FolderReader(self._folder, prefix)

    def close(self) -> None:
        """Nothing to free."""


def open_listing(files: ListingFiles, options: Options) -> Source:
    """The source that the listing describes: classes sorted, as numbers where all are integers (shards/labels.py)."""
    table = files.table()
    labels = {label for _, label, _ in files.items}
    classes = sorted(labels, key=(lambda label: (len(label), label)) if are_integers(labels) else None)
    label_of = {name: label for label, name in enumerate(classes)}
    splits: dict[str, Listed] = {}
    for split in ("train", "val", "test"):
        rows = [row for row, item in enumerate(files.items) if item[2] == split]
        rows.sort(key=lambda row: files.items[row][0])
        if rows:
            found = np.array([label_of[files.items[row][1]] for row in rows], np.int64)
            splits[split] = Listed(table.take(np.array(rows, np.int64)), found)
    if "train" not in splits:
        raise UsageError(f"{files.root}: no row is of split train. Give some, or leave the column away")
    reader = files.reader("")
    itself = Entry(files.root.name, files.root.stat().st_size, UNKNOWN_CRC, 0, 0, 0)
    infos = class_list(((name, name) for name in classes), files.root)
    return Source(LAYOUT, infos, divided(files, splits, options), FileTable.of([itself]), files, reader)


def _csv(root: Path) -> list[_Item]:
    try:
        with root.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
            names = [name.strip().lower() for name in rows.fieldnames or ()]
            rows.fieldnames = names
            return _items(root, names, ((number, row) for number, row in enumerate(rows, start=2)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{root}: not a CSV file in UTF-8 ({error}). Correct it and try again") from error


def _parquet(root: Path) -> list[_Item]:
    try:
        with pq.ParquetFile(root, page_checksum_verification=True) as file:
            names = [name.strip().lower() for name in file.schema_arrow.names]
            return _items(root, names, enumerate(_parquet_rows(file), start=1))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{root}: not a sound Parquet file ({error}). Get it again") from error


def _parquet_rows(file: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    """The rows, of which some thousands are in memory at a time: a few bytes can hold millions of equal ones."""
    places = {name.strip().lower(): place for place, name in enumerate(file.schema_arrow.names)}
    kept = {name: place for name, place in places.items() if name in _COLUMNS}
    names = [file.schema_arrow.names[place] for place in kept.values()]
    for batch in file.iter_batches(_ROWS, columns=names):
        columns = [batch.column(name).to_pylist() for name in names]
        for cells in zip(*columns, strict=True):
            yield dict(zip(kept, cells, strict=True))


def _items(root: Path, names: list[str], rows: Iterable[tuple[int, dict[str, Any]]]) -> list[_Item]:
    """Checked rows. Every path occurs once."""
    if not {"path", "label"} <= set(names):
        raise DataError(
            f"{root}: its columns are {', '.join(names) or 'none'}; path and label are needed, split may be there"
        )
    items: dict[str, _Item] = {}
    labels: dict[str, str] = {}  # one copy of each is kept
    for number, row in rows:
        try:
            path, label, split = (_text(row.get(name, "train")).strip() for name in ("path", "label", "split"))
        except UnicodeDecodeError as error:
            raise DataError(f"{root}: row {number}: {error.object[:40]!r} is not UTF-8. Correct the listing") from error
        split = SPLITS.get(split.lower(), "")
        if not path or not label or not split or path in items:
            why = "occurs twice" if path in items else "needs a path, a label, and a split of train, val or test"
            raise DataError(f"{root}: row {number} ({path or 'no path'}): {why}. Correct the listing")
        items[path] = (path, labels.setdefault(label, label), split)
    if not items:
        raise DataError(f"{root}: it lists no images")
    return list(items.values())


def _text(value: object) -> str:
    """A cell as text, empty where there is none. Binary columns, as some programs write text, hold UTF-8."""
    if value is None or value != value:  # noqa: PLR0124  NaN, which stands for nothing too
        return ""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
