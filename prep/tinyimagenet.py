"""TinyImageNet in its official layout, zip or folder.

wnids.txt                      the classes that are used; sorted, they give the labels
words.txt                      wnid <tab> name
train/WNID/images/*.JPEG
val/images/*.JPEG              labelled by val/val_annotations.txt: file <tab> wnid <tab> box
test/                          has no labels and is not read; it may be missing
"""

from collections.abc import Callable

import numpy as np

from prep.files import Files, FileTable, Reader
from prep.source import Listed, Source
from shards.errors import DataError
from shards.manifest import ClassInfo, class_list

LAYOUT = "tinyimagenet"
_WNIDS, _WORDS, _ANNOTATIONS = "wnids.txt", "words.txt", "val/val_annotations.txt"


def find_root(table: FileTable) -> str | None:
    """The folder inside the source that holds wnids.txt, with a slash at its end; None when this is not the layout."""
    found = [path for path in table.paths if path.rsplit("/", 1)[-1] == _WNIDS and path.count("/") <= 1]
    return min(found, key=len).removesuffix(_WNIDS) if found else None


def open_tinyimagenet(files: Files, table: FileTable, root: str) -> Source:
    """The source below `root`."""
    rows = np.array([row for row, path in enumerate(table.paths) if path.startswith(root)], np.int64)
    inside = table.take(rows)
    inside = inside.renamed([path[len(root) :] for path in inside.paths])
    reader = files.reader(root)
    row_of = {path: row for row, path in enumerate(inside.paths)}
    others = inside.take(
        np.array([row_of[name] for name in (_WNIDS, _WORDS, _ANNOTATIONS) if name in row_of], np.int64)
    )
    texts = _texts(files, others, reader)
    classes = _classes(files, texts)
    label_of = {one.id: label for label, one in enumerate(classes)}
    splits = {"train": _train(files, inside, label_of)}
    if _ANNOTATIONS in texts:
        splits["val"] = _val(files, inside, row_of, label_of, texts[_ANNOTATIONS])
    elif any(path.startswith("val/") for path in inside.paths):
        raise DataError(
            f"{files.root}: there is a val/ folder but no {_ANNOTATIONS}, which labels it. Get the data set again"
        )
    return Source(LAYOUT, classes, splits, others, files, reader)


def _texts(files: Files, others: FileTable, reader: Reader) -> dict[str, str]:
    try:
        return {entry.path: reader.read(entry).decode("utf-8") for entry in others}
    except UnicodeDecodeError as error:
        raise DataError(
            f"{files.root}: one of {', '.join(others.paths)} is not UTF-8 text ({error}). Get it again"
        ) from error


def _classes(files: Files, texts: dict[str, str]) -> tuple[ClassInfo, ...]:
    wnids = sorted(texts[_WNIDS].split())
    if not wnids or len(set(wnids)) < len(wnids):
        raise DataError(f"{files.root}: {_WNIDS} must list each class once; it has {len(wnids)} lines. Get it again")
    lines = (line.partition("\t") for line in texts.get(_WORDS, "").splitlines())
    names = {wnid: name.strip() for wnid, _, name in lines}
    return class_list(((wnid, names.get(wnid) or wnid) for wnid in wnids), files.root)


def _train(files: Files, inside: FileTable, label_of: dict[str, int]) -> Listed:
    rows, labels = [], []
    for row, path in enumerate(inside.paths):
        parts = path.split("/")
        if len(parts) == 4 and parts[0] == "train" and parts[2] == "images" and not parts[3].startswith("."):
            if parts[1] not in label_of:
                raise DataError(f"{files.root}: {path}: class {parts[1]} is not in {_WNIDS}. Get the data set again")
            rows.append(row)
            labels.append(label_of[parts[1]])
    found = set(labels)
    missing = sorted(wnid for wnid, label in label_of.items() if label not in found)
    if missing:
        raise DataError(
            f"{files.root}: {len(missing)} of {len(label_of)} classes have no training images, "
            f"first train/{missing[0]}/images/. Get the data set again"
        )
    return Listed(inside.take(np.array(rows, np.int64)), np.array(labels, np.int64))


def _val(files: Files, inside: FileTable, row_of: dict[str, int], label_of: dict[str, int], text: str) -> Listed:
    def fail(what: str) -> DataError:
        return DataError(f"{files.root}: {_ANNOTATIONS}: {what}. Get the data set again")

    labels = _annotations(text, label_of, fail)
    images = [
        path for path in inside.paths if path.startswith("val/images/") and not path.split("/")[-1].startswith(".")
    ]
    for path in images:
        if path not in labels:
            raise fail(f"no label for {path}")
    for path in labels:
        if path not in row_of:
            raise fail(f"it labels {path}, which does not exist")
    rows = np.array([row_of[path] for path in images], np.int64)
    return Listed(inside.take(rows), np.array([labels[path] for path in images], np.int64))


def _annotations(text: str, label_of: dict[str, int], fail: Callable[[str], DataError]) -> dict[str, int]:
    labels: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, _, rest = line.partition("\t")
        wnid = rest.split("\t", 1)[0].strip()
        path = f"val/images/{name}"
        if wnid not in label_of or path in labels:
            raise fail(f"line {number} is {line[:60]!r}: " + ("labelled twice" if path in labels else "unknown class"))
        labels[path] = label_of[wnid]
    return labels
