"""Determines the order of classes, which gives each class its label.

Names that are words are sorted, like the names of folders. If all labels in a source are integers, the integers are
kept as class numbers: label 7 is class 7. `headrace index` has the same rule (shards/labels.py). --classes-from takes
the classes from another set or from a file.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources.file_at import RemoteFile
from headrace.prep.sources.source import Source
from headrace.shards import labels, regular
from headrace.shards.counts import counted, first_of
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import ClassInfo, class_list, load
from headrace.shards.remote import AbsentError
from headrace.shards.remote_set import read_manifest
from headrace.shards.urls import Location, Url

_SHOWN = 10  # classes that a line names
_LIMIT = 64 << 20  # bytes of a file of classes
_TEXT = ".txt"


def classes_of(found: set[str], where: Location) -> list[str]:
    """Return the classes in the order of their labels; `found` has the distinct label texts of a source.

    Raises DataError for labels with unprintable characters, and for an integer label so large that thousands of classes
    would be empty.
    """
    odd = sorted(label for label in found if not label.isprintable())
    if odd:
        raise DataError(
            f"{where}: some labels have unprintable characters: {first_of([*map(ascii, odd)], _SHOWN)}. Rename them"
        )
    try:
        return labels.classes_of(found)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def gaps(classes: list[str], counts: NDArray[np.int64]) -> list[str]:
    """A line for the user with the class numbers that no image has, if the labels are integers; otherwise no line.

    `counts` has the number of images of each class. Classes with names get no line, because a list of names may well
    contain classes without images.
    """
    if not labels.are_integers(classes):
        return []
    missing = [classes[label] for label in np.flatnonzero(counts == 0).tolist()]
    return [f"integer labels are class numbers; no image has {first_of(missing, _SHOWN)}"] if missing else []


def integers_as_text(classes: list[str]) -> list[str]:
    """A line for the user if folders are named by integers that differ from the labels of the folders.

    The labels differ because names are sorted as text, as torchvision's ImageFolder does: 10 comes before 2.
    """
    if not labels.are_integers(classes) or classes == [str(number) for number in range(len(classes))]:
        return []
    first = next(label for label, name in enumerate(classes) if name != str(label))
    line = f"folders are named by integers and sorted as text, as ImageFolder does: label {first} is {classes[first]}/"
    return [f"{line}; for another order, give --classes-from FILE with one folder per line"]


def read_classes(path: Location) -> tuple[ClassInfo, ...]:
    """The classes of the shard set or text file at `path`.

    Each line of a text file has the id of a class, optionally followed by a tab and the name of the class. A URL that
    ends in .txt names a text file; any other URL names a shard set.
    """
    if isinstance(path, Url) and not path.name.endswith(_TEXT):
        return read_manifest(path)[1].classes
    if isinstance(path, Path) and path.is_dir():
        return load(path).classes
    try:
        data = RemoteFile(path).read(_LIMIT) if isinstance(path, Url) else regular.read(path)
        lines = data.decode("utf-8-sig").splitlines() if len(data) <= _LIMIT else []
    except (FileNotFoundError, AbsentError) as error:
        raise UsageError(f"--classes-from {path}: no such shard set or file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--classes-from {path}: cannot be read as text in UTF-8 ({error})") from error
    pairs = [line.strip().partition("\t") for line in lines if line.strip()]
    infos = class_list(((one.strip(), (name or one).strip()) for one, _, name in pairs), path)
    if not infos or len({one.id for one in infos}) < len(infos):
        raise DataError(
            f"--classes-from {path}: expected each class once, with one class per line; the file is empty or too "
            f"large, or names a class twice ({len(infos):,} lines with a class)"
        )
    return infos


def with_more_classes(source: Source, infos: tuple[ClassInfo, ...], where: Location, *, more: bool) -> Source:
    """Return the source with the labels of the set at `where`, whose classes are `infos`, and with new classes.

    A class of the source gets the label of the set's class with the same id or name; integers may also be positions of
    the set's classes. Other classes of the source are new, and their labels follow those of the set. If the set's
    classes are 0, 1, 2 and so on, and the source's labels are integers, all integers up to the largest label become
    classes. Raises DataError for new classes if `more` is False.
    """
    used = source.used()
    names = [source.classes[label].id for label in used]
    found = _labels_among(names, infos)
    if found is None:
        by_id, by_name = _tables(infos)
        found = by_name | by_id
        new = [source.classes[label] for label, name in zip(used, names, strict=True) if name not in found]
        if not more:
            raise DataError(
                f"{source.files.root}: {counted(len(new), 'class is', 'classes are')} not among the {len(infos):,} "
                f"classes of {where}: {first_of([one.id for one in new], _SHOWN)}. Give --new-classes to add "
                f"{'it' if len(new) == 1 else 'them'} to the set's classes, or remove the images from the source"
            )
        if [*by_id] == [str(number) for number in range(len(infos))] and labels.are_integers(names):
            every = classes_of({*by_id, *names}, source.files.root)
            new = [ClassInfo(id=one, name=one) for one in every[len(infos) :]]
        found |= {one.id: label for label, one in enumerate(new, len(infos))}
        infos = (*infos, *new)
    return _numbered(source, used, [found[name] for name in names], infos)


def _numbered(source: Source, used: list[int], own: list[int], infos: tuple[ClassInfo, ...]) -> Source:
    """The source with the classes `infos`: each label in `used` becomes the label at the same position in `own`."""
    number = np.full(len(source.classes), -1, np.int64)
    number[used] = own
    return source.renumbered(number, infos)


def _tables(infos: tuple[ClassInfo, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Return two dicts: the label of each class id, and the label of each name that only one class has."""
    often = Counter(one.name for one in infos)  # a name shared by two classes identifies neither
    by_name = {one.name: label for label, one in enumerate(infos) if often[one.name] == 1}
    return {one.id: label for label, one in enumerate(infos)}, by_name


def _labels_among(names: list[str], infos: tuple[ClassInfo, ...]) -> dict[str, int] | None:
    """Return a dict from each of `names` to its label: the position of the class in `infos`.

    `names` must be ids in `infos`, or else names in `infos`, or else integers, which are positions in `infos`. Return
    None if they are none of these.
    """
    found = next((table for table in _tables(infos) if set(names) <= table.keys()), None)
    if found is None and labels.are_integers(names) and all(len(name) < 9 and int(name) < len(infos) for name in names):
        found = {name: int(name) for name in names}
    return found


def with_classes(source: Source, infos: tuple[ClassInfo, ...], where: str) -> Source:
    """Return the source with its classes replaced by `infos`, in the order of `infos`.

    Each class of the source becomes the entry of `infos` with the same id. If an id is missing in `infos`, names are
    compared instead. Ids that are integers, such as folders 0 to 9, may also be positions in `infos`.
    """
    used = source.used()
    names = [source.classes[label].id for label in used]
    found = _labels_among(names, infos)
    if found is None:
        unknown = min(([name for name in names if name not in table] for table in _tables(infos)), key=len)
        raise DataError(
            f"{source.files.root}: {counted(len(unknown), 'class is', 'classes are')} not among the {len(infos):,} "
            f"classes of --classes-from {where}: "
            f"{first_of(unknown, _SHOWN)}. Add these classes there, or remove them from the source"
        )
    return _numbered(source, used, [found[name] for name in names], infos)
