"""Hugging Face's imagefolder layout: metadata.csv or metadata.jsonl beside the images gives each its label.

A metadata file speaks of images in its own folder and below. Where no column says so, the split of an image is that of
the first folder that is named like one. Metadata files without labels say nothing here: the folders do.
"""

import csv
import posixpath
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.sources.class_order import classes_of, gaps
from headrace.prep.sources.columns import MissingColumnError, rows_of_csv, rows_of_jsonl
from headrace.prep.sources.files import READ, FileTable, Unused
from headrace.prep.sources.listing import check_splits, in_usual_order, items_of, odd_splits
from headrace.prep.sources.source import Listed, Source
from headrace.prep.sources.splits import divided, refuse_two_validations, split_of
from headrace.prep.sources.survey import Survey
from headrace.prep.sources.text import lines
from headrace.shards.errors import DataError
from headrace.shards.manifest import TRAIN, class_list

LAYOUT = "imagefolder with metadata"
Cells = Iterator[tuple[int, dict[str, Any]]]
_NAMES = {"metadata.csv": rows_of_csv, "metadata.jsonl": rows_of_jsonl}


def find_metadata(seen: Survey, options: Options) -> list[int]:
    """The rows of the metadata files that have a column for labels. Raises DataError for what cannot be read."""
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
        return True  # which is told when its rows are read
    return True


def _cells(seen: Survey, row: int, options: Options, words: set[str]) -> Cells:
    """Number and cells of each row of a metadata file, with the split that the folders say where no column does.

    What the source calls these splits is added to `words`.
    """
    (entry,) = seen.table.take(np.array([row]))
    text = (line for _, line in lines(seen.files.root, entry, seen.files.reader("")))
    folder, _, name = entry.path.rpartition("/")
    for number, cells in _NAMES[name](text, seen.files.root / entry.path, options):
        names = posixpath.join(folder, str(cells["path"])).split("/")[:-1]
        by_folder = next((name for name in names if split_of(name, options)), TRAIN)
        words.add(str(cells.get("split", by_folder)))
        yield number, {"split": split_of(by_folder, options), **cells}


def _labelled(seen: Survey, files: list[int], options: Options) -> list[tuple[int, str, str]]:
    """Row, label and split of each image that the metadata files name."""
    row_of = {path: row for row, path in enumerate(seen.table.paths)}
    found: dict[int, tuple[int, str, str]] = {}
    words: set[str] = set()
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
                why = "there is no such file in its folder" if row is None else "it is labelled twice"
                raise DataError(f"{where}: {path}: {why}. Correct the file")
            found[row] = (row, label, split_of(word, options) or word)
    refuse_two_validations(seen.files.root, words, options)
    return sorted(found.values())


def open_metadata(seen: Survey, files: list[int], options: Options) -> Source:
    """The source that these metadata files describe."""
    table, where = seen.table, seen.files.root
    top = posixpath.commonpath([table.paths[file].rpartition("/")[0] for file in files])
    top += "/" if top else ""
    labelled = _labelled(seen, files, options)
    classes = classes_of({label for _, label, _ in labelled}, where)
    number = {name: label for label, name in enumerate(classes)}
    rows_of: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, label, split in labelled:
        rows_of[split].append((row, number[label]))
    splits = {}
    for split in in_usual_order(rows_of):
        rows, labels = np.array(rows_of[split], np.int64).T
        splits[split] = Listed(_inside(table, rows, top), labels)
    check_splits(where, splits, options)
    others = _inside(table, np.array(files, np.int64), top)
    unused = np.ones(len(table), bool)
    unused[[*(row for row, _, _ in labelled), *files]] = False
    rest = seen.unused(top, unused, {}, {})
    read = [Unused(path, READ) for path in others.paths]
    infos = class_list(((name, name) for name in classes), where)
    listed, remarks = divided(seen.files, splits, options), [*odd_splits(splits), *gaps(classes, splits)]
    reader = seen.files.reader(top)
    return Source(LAYOUT, infos, listed, others, seen.files, reader, [*read, *rest], remarks=remarks)


def _inside(table: FileTable, rows: NDArray[np.int64], top: str) -> FileTable:
    part = table.take(rows)
    return part.renamed([path[len(top) :] for path in part.paths])
