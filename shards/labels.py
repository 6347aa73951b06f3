"""Reads the label of a sample from its .cls member, with one rule for `headrace index` and `headrace verify`.

A label is the member's text in UTF-8 without surrounding white space. A label is an integer if it is "0", or if it
consists of ASCII digits and does not begin with 0. Every other label is a word, such as "007", "-1" or "1.0". If all
labels of a set are integers, they are class numbers. If at least one label is a word, all labels are treated as words,
and the classes are these words in sorted order.
"""

import re
from collections.abc import Iterable

from headrace.shards import system
from headrace.shards.manifest import Manifest

LONGEST = 255  # bytes, including white space
BEYOND = 21_841  # the classes of ImageNet-21k, so that labels of any part of it keep their numbers
_INTEGER = re.compile("0|[1-9][0-9]*")


def read(descriptor: int, offset: int, size: int) -> str:
    """The label in a member of an open tar. Raises ValueError, which says what is wrong with the label."""
    if size > LONGEST:
        raise ValueError(f"its label has {size:,} bytes, but the limit is {LONGEST}")
    data = system.pread(descriptor, size, offset)
    try:
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"its label is not UTF-8: {data[:40]!r}") from error
    if not text or not text.isprintable():
        raise ValueError(f"its label is neither a word nor a number: {text[:40]!r}")
    return text


def are_integers(labels: Iterable[str]) -> bool:
    """Whether all labels of a set are integers."""
    return all(map(_INTEGER.fullmatch, labels))


def classes_of(labels: set[str]) -> list[str]:
    """The class ids of a set made from existing tars, by class number; `labels` has all labels that occur in the set.

    Raises ValueError if the largest integer exceeds the number of different labels by BEYOND or more. Without this
    check, a single wrong label could make a million classes.
    """
    if not are_integers(labels):
        return sorted(labels)
    largest = max(labels, key=lambda label: (len(label), label))
    if len(largest) > 9 or int(largest) >= len(labels) + BEYOND:
        raise ValueError(
            f"all its labels are integers, so they are class numbers; the largest of {len(labels):,} different "
            f"labels is {largest[:40]}, but the limit is {len(labels) + BEYOND - 1:,}. Number the classes from 0, or "
            'write the labels as words such as "n7"'
        )
    return [str(number) for number in range(int(largest) + 1)]


def text_of(manifest: Manifest, label: int) -> str:
    """The text of a .cls member for this class number: the number if prep made the set, else the class's id."""
    return manifest.classes[label].id if manifest.made is None else str(label)
