"""Reads Hugging Face's imagefolder layout: a metadata.csv or metadata.jsonl beside images gives their labels.

A metadata file describes the images in its folder and all subfolders. If a metadata file has no column for splits, the
first folder on an image's path that is named like a split gives the split. Metadata files without labels are ignored:
the folders then give the labels.
"""

import csv
import posixpath
from collections.abc import Iterator
from typing import Any

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.sources.columns import MissingColumnError, rows_of_csv, rows_of_jsonl
from headrace.prep.sources.files import READ, Unused
from headrace.prep.sources.labelled import Labelled, Layout, labelled_source
from headrace.prep.sources.listing_rows import items_of
from headrace.prep.sources.source import TableSource
from headrace.prep.sources.splits import split_of
from headrace.prep.sources.survey import Survey
from headrace.prep.sources.text import lines
from headrace.shards.errors import DataError
from headrace.shards.manifest import TRAIN

LAYOUT = "imagefolder with metadata"
Cells = Iterator[tuple[int, dict[str, Any]]]
_NAMES = {"metadata.csv": rows_of_csv, "metadata.jsonl": rows_of_jsonl}


def find_metadata(seen: Survey, options: Options) -> list[int]:
    """Find the metadata files that have a column for labels; return their rows in the table of files.

    Raises DataError for unreadable files.
    """
    rows = [row for row, path in enumerate(seen.table.paths) if path.rpartition("/")[2] in _NAMES]
    return [row for row in rows if _has_labels(seen, row, options)]


def _has_labels(seen: Survey, row: int, options: Options) -> bool:
    try:
        next(_cells(seen, row, options, set()), None)
    except MissingColumnError:
        if options.columns is not None:
            raise
        return False
    except csv.Error:
        return True  # the error is reported when its rows are read
    return True


def _cells(seen: Survey, row: int, options: Options, words: set[str]) -> Cells:
    """Yield the number and the cells of each row of a metadata file.

    If there is no column for splits, the folders on the image's path give the split. The source's names for these
    splits are added to `words`.
    """
    (entry,) = seen.table.take(np.array([row]))
    text = (line for _, line in lines(seen.files.root, entry, seen.files.reader("")))
    folder, _, name = entry.path.rpartition("/")
    for number, cells in _NAMES[name](text, seen.files.root / entry.path, options):
        names = posixpath.join(folder, str(cells["path"])).split("/")[:-1]
        by_folder = next((name for name in names if split_of(name, options)), TRAIN)
        words.add(str(cells.get("split", by_folder)))
        yield number, {"split": split_of(by_folder, options), **cells}


def _labelled(seen: Survey, files: list[int], options: Options, words: set[str]) -> list[Labelled]:
    """The images named in the metadata files, in the order of the table."""
    row_of = {path: row for row, path in enumerate(seen.table.paths)}
    found: dict[int, Labelled] = {}
    for file in files:
        where = seen.files.root / seen.table.paths[file]
        folder = seen.table.paths[file].rpartition("/")[0]
        try:
            items = items_of(where, _cells(seen, file, options, words))
        except csv.Error as error:
            raise DataError(f"{where}: not a CSV file ({error}). Correct it and try again") from error
        for path, label, word in items:
            inside = posixpath.normpath(posixpath.join(folder, path))
            row = row_of.get(inside) if not folder or inside.startswith(f"{folder}/") else None
            if row is None or row in found:
                why = "no such file in its folder" if row is None else "it is labelled twice"
                raise DataError(f"{where}: {path}: {why}. Correct the file")
            found[row] = Labelled(row, label, word)
    return sorted(found.values())


def open_metadata(seen: Survey, files: list[int], options: Options) -> TableSource:
    """The source that these metadata files describe."""
    table, words = seen.table, set[str]()
    top = posixpath.commonpath([table.paths[file].rpartition("/")[0] for file in files])
    top += "/" if top else ""
    samples = _labelled(seen, files, options, words)
    others = table.below(top, np.array(files, np.int64))
    unused = np.ones(len(table), bool)
    unused[[*(one.row for one in samples), *files]] = False
    rest = [*(Unused(path, READ) for path in others.paths), *seen.unused(top, unused, {}, {})]
    inside = table.renamed([path[len(top) :] for path in table.paths])
    layout = Layout(LAYOUT, others, words=words)
    return labelled_source(seen.files, inside, seen.files.reader(top), samples, layout, rest, options)
