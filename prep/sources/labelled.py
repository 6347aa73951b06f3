"""Makes a source from a table whose rows have a label and a split, as metadata files and Parquet files do."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.sources.class_order import classes_of, gaps
from headrace.prep.sources.files import Files, FileTable, Reader, Unused
from headrace.prep.sources.source import Listed, TableSource
from headrace.prep.sources.splits import divided, refuse_two_validations, split_of
from headrace.shards.errors import UsageError
from headrace.shards.manifest import class_list
from headrace.shards.urls import Location

_USUAL = ("train", "val", "test")


class Labelled(NamedTuple):
    """A sample: its row in a table of files, its label and its split."""

    row: int
    label: str
    split: str  # the source's name for the split


class Layout(NamedTuple):
    """Facts about a source that are not in the labelled rows."""

    name: str
    others: FileTable  # files that determine labels, by their paths in the data set
    classes: Sequence[str] = ()  # in order; empty if the labels determine them
    words: Iterable[str] = ()  # the source's own names for its splits, if the rows do not have them
    without_train: str = "Give some, or omit the column"  # advice if no row belongs to the training split


def labelled_source(
    files: Files,
    table: FileTable,
    reader: Reader,
    samples: list[Labelled],
    layout: Layout,
    unused: list[Unused],
    options: Options,
) -> TableSource:
    """Make a source of these samples, which are rows of `table`; `reader` reads the files of `table`.

    The samples keep their order. Raises DataError for invalid labels, and UsageError if a required split is missing.
    """
    where = files.root
    classes = list(layout.classes) or classes_of({one.label for one in samples}, where)
    splits = _splits(table, samples, classes, options)
    refuse_two_validations(where, layout.words or {one.split for one in samples}, options)
    check_splits(where, splits, options, layout.without_train)
    infos = class_list(((name, name) for name in classes), where)
    counts = np.bincount(np.concatenate([one.labels for one in splits.values()]), minlength=len(classes))
    remarks = [*odd_splits(splits), *gaps(classes, counts)]
    listed = divided(files, splits, options)
    return TableSource(layout.name, infos, listed, layout.others, files, reader, unused, remarks=remarks)


def _splits(table: FileTable, samples: list[Labelled], classes: list[str], options: Options) -> dict[str, Listed]:
    """The samples of each split: training, validation, test, then the others by name."""
    number = {name: label for label, name in enumerate(classes)}
    of_split: dict[str, list[Labelled]] = defaultdict(list)
    for one in samples:
        of_split[split_of(one.split, options) or one.split].append(one)
    splits = {}
    for name in sorted(of_split, key=usual_first):
        rows = np.array([one.row for one in of_split[name]], np.int64)
        labels = np.array([number[one.label] for one in of_split[name]], np.int64)
        splits[name] = Listed(table.take(rows), labels)
    return splits


def usual_first(name: str) -> tuple[int, str]:
    """The sort key of a split: training comes first, then validation, test, and the others by name."""
    return (_USUAL.index(name) if name in _USUAL else len(_USUAL), name)


def check_splits(where: Location, splits: Collection[str], options: Options, without_train: str) -> None:
    """Raise UsageError if the training split or the requested validation split is missing.

    `without_train` is the advice in the message if the training split is missing.
    """
    if "train" not in splits:
        raise UsageError(f"{where}: no row has the split train (the splits are: {', '.join(splits)}). {without_train}")
    if options.val is not None and "val" not in splits:
        raise UsageError(f"{where}: --val {options.val}: no such split (the splits are: {', '.join(splits)})")


def odd_splits(splits: Iterable[str]) -> list[str]:
    """A line for the user about each split that training does not use."""
    others = [name for name in splits if name not in _USUAL]
    return [f"split {name} is neither for training nor for validation; it keeps its name" for name in others]
