"""The order of classes, which decides their labels: of words, of integers, and of another set or a list.

Words are sorted, as folders are. Where all labels are integers they are class numbers, label 7 being class 7, as for
tars that are adopted (shards/labels.py). --classes-from takes the classes of another set, or of a file.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.counts import counted, first_of
from headrace.prep.sources.source import Source
from headrace.shards import labels, regular
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import ClassInfo, class_list, load

_SHOWN = 10  # classes that a line names
_LIMIT = 64 << 20  # bytes of a file of classes


def classes_of(found: set[str], where: Path) -> list[str]:
    """The class for each label number. Raises DataError where a stray integer would make thousands of classes."""
    odd = sorted(label for label in found if not label.isprintable())
    if odd:
        raise DataError(
            f"{where}: labels with unprintable characters: {first_of([*map(ascii, odd)], _SHOWN)}. Rename them"
        )
    try:
        return labels.classes_of(found)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def gaps(classes: list[str], counts: NDArray[np.int64]) -> list[str]:
    """A line where labels are integers and leave classes out; a list of names may well have some without an image.

    `counts` are the images of each class.
    """
    if not labels.are_integers(classes):
        return []
    missing = [classes[label] for label in np.flatnonzero(counts == 0).tolist()]
    return [f"labels are integers, so class numbers; no image has {first_of(missing, _SHOWN)}"] if missing else []


def integers_as_text(classes: list[str]) -> list[str]:
    """A line where folders that are named by integers are in the order of text, so that labels are not these integers.

    The order is ImageFolder's.
    """
    if not labels.are_integers(classes) or classes == [str(number) for number in range(len(classes))]:
        return []
    first = next(label for label, name in enumerate(classes) if name != str(label))
    line = f"folders are named by integers and sorted as text, as ImageFolder does: label {first} is {classes[first]}/"
    return [f"{line}; --classes-from FILE, with a folder a line, gives another order"]


def read_classes(path: Path) -> tuple[ClassInfo, ...]:
    """The classes of the shard set or file at `path`: a class a line, and perhaps its name behind a tab."""
    if path.is_dir():
        return load(path).classes
    try:
        data = regular.read(path)
        lines = data.decode("utf-8-sig").splitlines() if len(data) <= _LIMIT else []
    except FileNotFoundError as error:
        raise UsageError(f"--classes-from {path}: no such shard set or file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--classes-from {path}: cannot be read as text in UTF-8 ({error})") from error
    pairs = [line.strip().partition("\t") for line in lines if line.strip()]
    infos = class_list(((one.strip(), (name or one).strip()) for one, _, name in pairs), path)
    if not infos or len({one.id for one in infos}) < len(infos):
        raise DataError(f"--classes-from {path}: it must list each class once, a class a line; it has {len(infos):,}")
    return infos


def with_classes(source: Source, infos: tuple[ClassInfo, ...], where: str) -> Source:
    """The source with these classes in their order: found by id, or by name, or integers by their place in the list."""
    used = source.used()
    names = [source.classes[label].id for label in used]
    often = Counter(one.name for one in infos)  # a name of two classes says neither
    tables = (
        {one.id: label for label, one in enumerate(infos)},
        {one.name: label for label, one in enumerate(infos) if often[one.name] == 1},
    )
    found = next((table for table in tables if set(names) <= table.keys()), None)
    if found is None and labels.are_integers(names) and all(len(name) < 9 and int(name) < len(infos) for name in names):
        found = {name: int(name) for name in names}
    if found is None:
        unknown = min(([name for name in names if name not in table] for table in tables), key=len)
        raise DataError(
            f"{source.files.root}: {counted(len(unknown), 'class is', 'classes are')} none of the {len(infos):,} of "
            f"--classes-from {where}: "
            f"{first_of(unknown, _SHOWN)}. Add them there, or leave them out of the source"
        )
    number = np.full(len(source.classes), -1, np.int64)
    number[used] = [found[name] for name in names]
    return source.renumbered(number, infos)
