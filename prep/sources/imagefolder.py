"""Class-per-folder trees, as torchvision's ImageFolder reads them: the folder of an image is its class.

train/CLASS/**/*.jpg  with val/ (or valid/, validation/) and perhaps test/ beside it
CLASS/**/*.jpg        one tree; --val-fraction takes a part of every class for validation

Images elsewhere, beside the folders of classes or in a folder that is no split, are in no class: the report names them.
"""

import sys
import zlib
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.sources.files import UNLABELLED, UNUSED, Files, FileTable, LeftOut
from headrace.prep.sources.source import Listed, Source
from headrace.shards.draws import Stream, hash64
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import class_list

LAYOUT = "imagefolder"
EXTENSIONS = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm", "pgm", "jp2", "gif", "avif", "heic")
KNOWN = (
    "TinyImageNet in its official layout (wnids.txt, train/, val/), a tree of train/CLASS/ and val/CLASS/ folders or "
    "of CLASS/ folders with --val-fraction, as a folder, zip or tar; or a listing (CSV or Parquet: path,label[,split])"
)
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def is_image(path: str) -> bool:
    """Whether the name is that of an image, and not of a hidden file."""
    name = path.rsplit("/", 1)[-1]
    return not name.startswith(".") and name.rsplit(".", 1)[-1].lower() in EXTENSIONS and "." in name


def find_trees(table: FileTable) -> tuple[str, dict[str, list[int]]] | None:
    """The root of the trees and the rows of each split; None when no image lies in a folder of a class."""
    paths = table.paths
    rows = [row for row, path in enumerate(paths) if is_image(path)]
    folders = [paths[row].count("/") for row in rows]
    depth = 0
    while (
        rows
        and min(folders) > depth
        and len({_folder(paths[row], depth) for row in rows}) == 1
        and (min(folders) > depth + 1 or _has_train(paths, rows, depth + 1))  # images may lie beside train/
    ):
        depth += 1
    trees: dict[str, list[int]] = defaultdict(list)
    deep = [row for row, above in zip(rows, folders, strict=True) if above > depth + 1]
    if _has_train(paths, deep, depth):
        for row in deep:
            if (tree := _folder(paths[row], depth)) in _SPLITS:
                trees[tree].append(row)
    else:
        trees[""] = [row for row, above in zip(rows, folders, strict=True) if above > depth]
    root = "".join(f"{_folder(paths[rows[0]], above)}/" for above in range(depth))
    return (root, dict(trees)) if any(trees.values()) else None


def _has_train(paths: list[str], rows: list[int], depth: int) -> bool:
    """Whether train/ lies at `depth`, with an image in a folder of it."""
    return any(paths[row].count("/") > depth + 1 and _folder(paths[row], depth) == "train" for row in rows)


def _folder(path: str, depth: int) -> str:
    """The name of the folder at `depth` of a path; one object for all paths that share it."""
    return sys.intern(path.split("/", depth + 1)[depth])


def open_imagefolder(files: Files, table: FileTable, options: Options) -> Source:
    """The source in these trees."""
    found = find_trees(table)
    if found is None:
        some = ", ".join(table.paths[:3]) or "nothing"
        raise DataError(f"{files.root}: no data set found: {len(table):,} files ({some}, ...). Give {KNOWN}")
    root, trees = found
    reader = files.reader(root)
    renamed = {tree: _inside(table, np.array(rows, np.int64), root) for tree, rows in sorted(trees.items()) if rows}
    at = 0 if "" in renamed else 1
    names = {tree: [_folder(path, at) for path in part.paths] for tree, part in renamed.items()}
    classes = sorted(set(names.get("train", names.get("", []))))
    label_of = {name: label for label, name in enumerate(classes)}
    splits: dict[str, Listed] = {}
    for tree, part in renamed.items():
        split = _SPLITS.get(tree, "train")
        if split == "test" and not set(names[tree]) & set(label_of):
            del trees[tree]  # a test split without labels
            continue
        unknown = sorted(set(names[tree]) - set(label_of))
        if unknown or split in splits:
            why = f"class {unknown[0]} is not in train/" if unknown else f"there is more than one {split} folder"
            raise DataError(f"{files.root}: {tree}/: {why}. Rename or remove the folder")
        splits[split] = Listed(part, np.array([label_of[name] for name in names[tree]], np.int64))
    splits = {name: splits[name] for name in ("train", "val", "test") if name in splits}
    infos = class_list(((name, name) for name in classes), files.root)
    unused = _unused(table, root, trees)
    return Source(LAYOUT, infos, divided(files, splits, options), FileTable.of([]), files, reader, unused)


def _unused(table: FileTable, root: str, trees: dict[str, list[int]]) -> LeftOut:
    """The images that are in no tree with labels, by their paths below `root`, where all images lie."""
    used = np.zeros(len(table), bool)
    for rows in trees.values():
        used[rows] = True
    paths = (table.paths[row] for row in np.flatnonzero(~used).tolist())
    inside = [path[len(root) :] for path in paths if is_image(path)]
    labelled = bool(trees.keys() & {"", "test"})
    return [(path, UNUSED if labelled or not path.startswith("test/") else UNLABELLED) for path in inside]


def _inside(table: FileTable, rows: NDArray[np.int64], root: str) -> FileTable:
    part = table.take(rows)
    return part.renamed([path[len(root) :] for path in part.paths])


def divided(files: Files, splits: dict[str, Listed], options: Options) -> dict[str, Listed]:
    """The splits, with a validation part taken from the training part where the source has none."""
    fraction = options.val_fraction
    if "val" in splits:
        if fraction is not None:
            raise UsageError(f"{files.root}: it has a validation split of its own. Leave --val-fraction away")
        return splits
    if fraction is None:
        raise UsageError(
            f"{files.root}: it has no validation split. Give --val-fraction 0.1 to take a tenth of every class for it, "
            "or --val-fraction 0 to do without"
        )
    if not fraction:
        return splits
    chosen = validation_part(splits["train"].labels, fraction, options.seed)
    if not chosen.any():
        raise UsageError(f"{files.root}: --val-fraction {fraction} takes no image of any class. Give a larger one")
    train = splits["train"]
    return {
        "train": train.part(~chosen),
        "val": train.part(chosen),
        **{k: v for k, v in splits.items() if k != "train"},
    }


def validation_part(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which samples are for validation: of every class the same share, rounded, chosen by a hash of (seed, place)."""
    keys = hash64(seed, Stream.PREP, zlib.crc32(b"--val-fraction"), np.arange(len(labels)))
    order = np.lexsort((keys, labels))
    ordered = labels[order]
    rank = np.arange(len(labels)) - np.searchsorted(ordered, ordered, side="left")
    quota = np.floor(np.bincount(labels) * fraction + 0.5).astype(np.int64)
    chosen = np.zeros(len(labels), bool)
    chosen[order] = rank < quota[ordered]
    return chosen
