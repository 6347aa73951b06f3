"""Reads TinyImageNet in its official layout, as a folder, zip or tar.

The file wnids.txt lists the ids of the classes (WordNet ids); the sorted ids give the labels. Each line of words.txt
has an id and a name, separated by a tab. Training images are in train/WNID/images/. Validation images are in
val/images/; val/val_annotations.txt has the file name, class id and box of each validation image. The folder test/ has
no labels and is not read; it may be missing. All other files are listed in the report.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources.files import READ, UNLABELLED, Files, FileTable, Unused
from headrace.prep.sources.source import Listed, TableSource
from headrace.prep.sources.survey import Survey
from headrace.prep.sources.text import lines
from headrace.shards.errors import DataError
from headrace.shards.manifest import MAX_ID, MAX_TEXT, ClassInfo, class_list

LAYOUT = "tinyimagenet"
Rows = NDArray[np.int64]
Lines = Iterator[tuple[int, str]]  # number and text
_WNIDS, _WORDS, _ANNOTATIONS = "wnids.txt", "words.txt", "val/val_annotations.txt"


def find_root(table: FileTable) -> str | None:
    """The folder inside the source that holds wnids.txt, with a slash at its end; None if the layout differs."""
    found = [path for path in table.paths if path.rsplit("/", 1)[-1] == _WNIDS and path.count("/") <= 1]
    return min(found, key=len).removesuffix(_WNIDS) if found else None


def open_tinyimagenet(seen: Survey, root: str) -> TableSource:
    """Make the source from the data set in the folder `root`."""
    files, table = seen.files, seen.table
    rows = np.array([row for row, path in enumerate(table.paths) if path.startswith(root)], np.int64)
    inside = table.take(rows)
    inside = inside.renamed([path[len(root) :] for path in inside.paths])
    images = np.flatnonzero(np.isin(rows, seen.images)).tolist()
    reader = files.reader(root)
    row_of = {path: row for row, path in enumerate(inside.paths)}
    others = inside.take(
        np.array([row_of[name] for name in (_WNIDS, _WORDS, _ANNOTATIONS) if name in row_of], np.int64)
    )
    texts = {entry.path: lines(files.root, entry, reader) for entry in others}
    classes = _classes(files, texts, len(inside))
    label_of = {one.id: label for label, one in enumerate(classes)}
    found = {"train": _train(files, inside, images, label_of)}
    if _ANNOTATIONS in texts:
        found["val"] = _val(files, inside, images, _annotations(files, row_of, label_of, texts[_ANNOTATIONS]))
    elif any(path.startswith("val/") for path in inside.paths):
        raise DataError(
            f"{files.root}: there is a val/ folder but no {_ANNOTATIONS}, which labels its images. Get the data set "
            "again"
        )
    splits = {name: Listed(inside.take(those), labels) for name, (those, labels) in found.items()}
    used = [*(rows[those] for those, _ in found.values()), rows[[row_of[path] for path in others.paths]]]
    return TableSource(LAYOUT, classes, splits, others, files, reader, _unused(seen, root, used, others))


def _unused(seen: Survey, root: str, used: list[Rows], others: FileTable) -> list[Unused]:
    """Return an entry for each file that is in no split, and one entry for the folder test/, which has no labels."""
    unused = np.ones(len(seen.table), bool)
    unused[np.concatenate(used)] = False
    rest = seen.unused(root, unused, {}, {f"{root}test/": UNLABELLED})
    return [*(Unused(path, READ) for path in others.paths), *rest]


def _classes(files: Files, texts: dict[str, Lines], most: int) -> tuple[ClassInfo, ...]:
    """The classes in wnids.txt, with their names from words.txt; the other lines of words.txt are ignored."""
    names = dict.fromkeys(sorted(_wnids(files, texts[_WNIDS], most)), "")
    for _, line in texts.get(_WORDS, ()):
        wnid, _, name = line.partition("\t")
        if wnid in names:
            names[wnid] = name.strip()[: MAX_TEXT + 1]  # `class_list` refuses a name that is too long
    return class_list(((wnid, name or wnid) for wnid, name in names.items()), files.root)


def _wnids(files: Files, text: Lines, most: int) -> set[str]:
    """The class ids in wnids.txt. More ids than files are refused, because each class needs images."""
    found: set[str] = set()
    for number, line in text:
        for wnid in line.split():
            if wnid in found or len(found) == most or len(wnid) > MAX_ID:
                what = "occurs again" if wnid in found else f"is one of more classes than files ({most:,})"
                what = f"has more than {MAX_ID} characters" if len(wnid) > MAX_ID else what
                raise DataError(
                    f"{files.root}: {_WNIDS} must list each class once: {wnid[:60]} in line {number} {what}. "
                    "Get it again"
                )
            found.add(wnid)
    if not found:
        raise DataError(f"{files.root}: {_WNIDS} must list each class once; it lists none. Get it again")
    return found


def _train(files: Files, inside: FileTable, images: list[int], label_of: dict[str, int]) -> tuple[Rows, Rows]:
    """The rows of the training images, and their labels."""
    rows, labels = [], []
    for row in images:
        path = inside.paths[row]
        parts = path.split("/")
        if len(parts) == 4 and parts[0] == "train" and parts[2] == "images":
            if parts[1] not in label_of:
                raise DataError(f"{files.root}: {path}: class {parts[1]} is not in {_WNIDS}. Get the data set again")
            rows.append(row)
            labels.append(label_of[parts[1]])
    found = set(labels)
    missing = sorted(wnid for wnid, label in label_of.items() if label not in found)
    if missing:
        raise DataError(
            f"{files.root}: {len(missing)} of {len(label_of)} classes in {_WNIDS} have no training images; "
            f"the first is train/{missing[0]}/images/. Get the data set again"
        )
    return np.array(rows, np.int64), np.array(labels, np.int64)


def _val(files: Files, inside: FileTable, images: list[int], labels: dict[int, int]) -> tuple[Rows, Rows]:
    """The rows of the validation images, and their labels."""
    rows = [row for row in images if inside.paths[row].startswith("val/images/")]
    for row in rows:
        if row not in labels:
            raise _wrong(files, f"no label for {inside.paths[row]}")
    return np.array(rows, np.int64), np.array([labels[row] for row in rows], np.int64)


def _annotations(files: Files, row_of: dict[str, int], label_of: dict[str, int], text: Lines) -> dict[int, int]:
    """The label of each validation image, by its row in the table.

    Annotations of files that do not exist are errors, so the result is never larger than the table.
    """
    labels: dict[int, int] = {}
    for number, line in text:
        if not line.strip():
            continue
        name, _, rest = line.partition("\t")
        wnid = rest.split("\t", 1)[0].strip()
        path = f"val/images/{name}"
        row = row_of.get(path)
        if row is None or row in labels or wnid not in label_of:
            why = "unknown class" if wnid not in label_of else "labelled twice"
            why = f"it labels {path[:200]}, which does not exist" if row is None and wnid in label_of else why
            raise _wrong(files, f"line {number} is {line[:60]!r}: {why}")
        labels[row] = label_of[wnid]
    return labels


def _wrong(files: Files, what: str) -> DataError:
    return DataError(f"{files.root}: {_ANNOTATIONS}: {what}. Get the data set again")
