"""The label of a sample, as its .cls member says it: one rule for `headrace index` and `headrace verify`.

A label is the member's text in UTF-8 without white space around it. It is an integer if it is 0, or digits of ASCII of
which the first is not 0; "007", "-1", "1.0" and everything else is a word. Where all labels of a set are integers they
are class numbers; where one is a word, all are words, and the classes are these in sorted order.
"""

import os
import re
from collections.abc import Iterable

from headrace.shards.manifest import Manifest

LONGEST = 255  # bytes, white space included
BEYOND = 21_841  # the classes of ImageNet-21k, so that labels of any part of it keep their numbers
_INTEGER = re.compile("0|[1-9][0-9]*")


def read(descriptor: int, offset: int, size: int) -> str:
    """The label in a member of an open tar. Raises ValueError, saying what is wrong with it."""
    if size > LONGEST:
        raise ValueError(f"its label has {size:,} bytes; the limit is {LONGEST}")
    data = os.pread(descriptor, size, offset)
    try:
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"its label is not UTF-8: {data[:40]!r}") from error
    if not text or not text.isprintable():
        raise ValueError(f"its label is not a word or a number: {text[:40]!r}")
    return text


def are_integers(labels: Iterable[str]) -> bool:
    """Whether all labels of a set are integers."""
    return all(map(_INTEGER.fullmatch, labels))


def classes_of(labels: set[str]) -> list[str]:
    """The class for each label number, from all labels of a set that is adopted.

    Raises ValueError where the largest integer is more than BEYOND above the number of labels: a stray one would
    make a million classes.
    """
    if not are_integers(labels):
        return sorted(labels)
    largest = max(labels, key=lambda label: (len(label), label))
    if len(largest) > 9 or int(largest) >= len(labels) + BEYOND:
        raise ValueError(
            f"all its labels are integers, so class numbers, and the largest is {largest[:40]}, with {len(labels):,} "
            f"different ones: at most {len(labels) + BEYOND - 1:,} is taken for one. Number the classes from 0, or "
            'write their labels as words ("n7", say)'
        )
    return [str(number) for number in range(int(largest) + 1)]


def text_of(manifest: Manifest, label: int) -> str:
    """What a .cls member says for the class of this number: prep writes the number, an adopted set has its own text."""
    return manifest.classes[label].id if manifest.made is None else str(label)
