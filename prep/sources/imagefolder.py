"""Reads folders of classes, like torchvision's ImageFolder: the folder of an image gives its class.

If there are splits, the training images are in train/CLASS/ and its subfolders, and the folders val/ and perhaps test/
beside train/ have the same structure. Other usual names of splits are accepted too (splits.py). Without splits, the
images are in CLASS/ and its subfolders, and --val-fraction takes a part of every class for validation.

Images beside the folders of classes, or in a folder that is not a split, have no class; the report lists these images.
A folder without any file is not a class. A class without usable files ends the run unless --on-empty-class says
otherwise.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.sources.class_order import integers_as_text
from headrace.prep.sources.files import BY_EMPTY_CLASS, SYMBOLIC, UNLABELLED, Files, FileTable
from headrace.prep.sources.folder import FolderFiles
from headrace.prep.sources.kinds import is_hidden
from headrace.prep.sources.source import Listed, TableSource
from headrace.prep.sources.splits import divided, is_like_a_split, refuse_two_validations, split_of
from headrace.prep.sources.survey import Survey, relative
from headrace.shards.counts import counted, first_of
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import TRAIN, VALIDATION, class_list
from headrace.shards.urls import Location

LAYOUT = "imagefolder"
KNOWN = (
    "TinyImageNet in its official layout (wnids.txt, train/, val/), a tree of train/CLASS/ and val/CLASS/ folders or "
    "of CLASS/ folders with --val-fraction, or images with metadata.csv or metadata.jsonl, as a folder, zip or tar; "
    "a listing (CSV, JSON lines or Parquet: path,label[,split]); or Parquet files with images, as Hugging Face's "
    "datasets writes them"
)
_SHOWN = 5  # classes that an error lists


def find_trees(paths: list[str], rows: list[int], options: Options) -> tuple[str, dict[str, list[int]]] | None:
    """Find the folder that contains the splits or classes; return its path, and a dict of the images in each split.

    `rows` are the indices in `paths` of all images. The dict maps the name of each split folder to the indices of its
    images; if there are no splits, the only key is "". Returns None if no image is in a folder of a class.
    """
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
            if split_of(tree := _folder(paths[row], depth), options):
                trees[tree].append(row)
    else:
        trees[""] = [row for row, above in zip(rows, folders, strict=True) if above > depth]
    root = "".join(f"{_folder(paths[rows[0]], above)}/" for above in range(depth))
    return (root, dict(sorted(trees.items()))) if any(trees.values()) else None


def _has_train(paths: list[str], rows: list[int], depth: int) -> bool:
    """Whether there is a train/ folder at `depth` whose subfolders contain an image."""
    return any(
        paths[row].count("/") > depth + 1 and split_of(_folder(paths[row], depth), Options()) == TRAIN for row in rows
    )


def _folder(path: str, depth: int) -> str:
    """The name of the folder at `depth` in a path. Paths with the same folder share one string, to save memory."""
    return sys.intern(path.split("/", depth + 1)[depth])


def open_imagefolder(seen: Survey, options: Options) -> TableSource:
    """Make the source from the folders of classes. Raises DataError if no image is in a folder of a class."""
    files, table = seen.files, seen.table
    found = find_trees(table.paths, seen.images.tolist(), options)
    if found is None:
        if any(path.endswith(".arrow") for path in table.paths):
            raise DataError(
                f"{files.root}: this folder was written by datasets.save_to_disk, whose format is not supported. Write "
                "the data set with its method to_parquet, and give the Parquet files"
            )
        some = ", ".join([*table.paths[:3], *(["..."] if len(table) > 3 else [])])
        links = sum(reason == SYMBOLIC for _, reason in seen.left_out)
        more = f" and {counted(links, 'symbolic link')}, not followed" if links else ""
        raise DataError(
            f"{files.root}: no data set found in {counted(len(table), 'file')}{some and f' ({some})'}{more}. "
            f"{_follow(files, links)}Give {KNOWN}"
        )
    root, trees = found
    at = root.count("/") + ("" not in trees)
    names = {tree: [_folder(table.paths[row], at) for row in rows] for tree, rows in trees.items()}
    if "" in trees:
        _refuse_splits_as_classes(files.root, [table.paths[row][len(root) :] for row in trees[""]])
    training = next(tree for tree in trees if not tree or split_of(tree, options) == TRAIN)
    refused = _refused(seen, root + (training and f"{training}/"), set(names[training]), options)
    classes = sorted(set(names[training]) | (refused if options.on_empty_class == "keep" else set()))
    splits = _splits(files.root, names, {name: label for label, name in enumerate(classes)}, refused, options)
    listed, reasons, unused = {}, dict[int, str](), np.ones(len(table), bool)
    for split, (tree, labels) in splits.items():
        rows = np.array(trees[tree], np.int64)
        reasons |= dict.fromkeys(rows[labels < 0].tolist(), BY_EMPTY_CLASS)
        listed[split] = Listed(table.below(root, rows), labels).part(labels >= 0)
        unused[rows[labels >= 0]] = False
    rest = seen.unused(root, unused, reasons, _without_labels(seen, root, splits, options))
    infos = class_list(((name, name) for name in classes), files.root)
    empty = _empty(seen, root, [tree for tree, _ in splits.values()])
    divided_up = divided(files, listed, options)
    remarks = integers_as_text(classes) if options.classes_from is None else []
    return TableSource(LAYOUT, infos, divided_up, FileTable.of([]), files, files.reader(root), rest, empty, remarks)


def _refuse_splits_as_classes(where: Location, paths: list[str]) -> None:
    """Raise UsageError if a folder that would become a class has the name of a split.

    Such a folder probably contains the folders of the classes.
    """
    deep, shallow = set[str](), set[str]()
    for path in paths:
        name, _, rest = path.partition("/")
        (deep if "/" in rest else shallow).add(name)
    alike = sorted(name for name in deep | shallow if is_like_a_split(name))
    if alike and (len(alike) == len(deep | shallow) or any(name not in shallow for name in alike)):
        names = ", ".join(f"{name}/" for name in alike)
        raise UsageError(
            f"{where}: {names} look like splits, not like classes, and there is no train/ with a folder for each class "
            "in it. Rename the folder of the training images to train/, with train/CLASS/ folders in it, and the "
            "others to val/ and test/; or give a listing"
        )


def _without_labels(
    seen: Survey, root: str, splits: dict[str, tuple[str, NDArray[np.int64]]], options: Options
) -> dict[str, str]:
    """The test folders that are not used because they have no labels, each with this reason."""
    if "test" in splits or any(not tree for tree, _ in splits.values()):
        return {}
    depth = root.count("/")
    inside = (path for path in seen.table.paths if path.startswith(root) and path.count("/") > depth)
    tops = {_folder(path, depth) for path in inside}
    return {f"{root}{top}/": UNLABELLED for top in sorted(tops) if split_of(top, options) == "test"}


def _splits(
    where: Location, names: dict[str, list[str]], label_of: dict[str, int], refused: set[str], options: Options
) -> dict[str, tuple[str, NDArray[np.int64]]]:
    """For each split, return its folder and the labels of the images in the folder; -1 for images of refused classes.

    `names` has the classes of the images in each split folder. A test folder that has none of the training classes is
    not used, because its images have no labels.
    """
    refuse_two_validations(where, names, options)
    found: dict[str, tuple[str, NDArray[np.int64]]] = {}
    for tree, classes in names.items():
        split = split_of(tree, options) or TRAIN
        if split == "test" and not set(classes) & set(label_of):
            continue
        unknown = sorted(set(classes) - set(label_of) - refused)
        if unknown or split in found:
            why = f"class {unknown[0]} is not in train/" if unknown else f"there is more than one {split} folder"
            raise DataError(f"{where}: {tree}/: {why}. Rename or remove the folder")
        found[split] = (tree, np.array([label_of.get(name, -1) for name in classes], np.int64))
    if options.val is not None and VALIDATION not in found:
        others = ", ".join(tree for tree, _ in found.values() if tree) or "none"
        raise UsageError(f"{where}: --val {options.val}: no such split (the splits are: {others})")
    return {name: found[name] for name in (TRAIN, VALIDATION, "test") if name in found}


def _refused(seen: Survey, top: str, classes: set[str], options: Options) -> set[str]:
    """The names of the class folders below `top` that have files but no images."""
    why: dict[str, Counter[str]] = defaultdict(Counter)
    rows = (row for row, reason in enumerate(seen.why_not) if reason)
    others = [*((seen.table.paths[row], seen.why_not[row]) for row in rows), *seen.left_out]
    for path, reason in others:
        if (name := _class(path, top)) and name not in classes:
            why[name][reason] += 1
    if why and options.on_empty_class == "error":
        raise empty_classes(seen.files, {name: reasons.most_common(1)[0] for name, reasons in sorted(why.items())})
    return set(why)


def empty_classes(files: Files, why: dict[str, tuple[str, int]]) -> DataError:
    """The error for classes without a usable file.

    `why` has the most frequent reason for each class, and the number of files that are refused for this reason.
    """
    shown = first_of([f"{name} ({count:,} {reason})" for name, (reason, count) in why.items()], _SHOWN)
    links = sum(reason == SYMBOLIC for reason, _ in why.values())
    return DataError(
        f"{files.root}: {counted(len(why), 'class has', 'classes have')} no training image, because every file is "
        f"refused: {shown}. {_follow(files, links)}Add images, or give --on-empty-class drop to make the set without "
        "these classes, or --on-empty-class keep to keep their labels"
    )


def _follow(files: Files, links: int) -> str:
    """Return the advice to give --follow-links; "" if `links` is 0, or if the source is not a folder on a disk."""
    return "Give --follow-links to read the targets of links. " if links and isinstance(files, FolderFiles) else ""


def _class(path: str, top: str) -> str:
    """The name of the folder directly below `top` on the path; "" if there is none."""
    inside = path[len(top) :] if path.startswith(top) else ""
    return inside.partition("/")[0] if "/" in inside else ""


def _empty(seen: Survey, root: str, trees: Iterable[str]) -> list[str]:
    """The class folders that contain no files except hidden ones."""
    tops = [root + (f"{tree}/" if tree else "") for tree in trees]

    def classes(paths: Iterable[str]) -> set[str]:
        folders = {path.rpartition("/")[0] for path in paths}
        names = {(top, _class(f"{folder}/", top)) for folder in folders for top in tops}
        return {f"{top}{name}/" for top, name in names if name and not is_hidden(name)}

    full = classes((*seen.table.paths, *(path for path, _ in seen.left_out)))
    return sorted(relative(one, root) for one in classes((*seen.empty, *(one.path for one in seen.hidden))) - full)
