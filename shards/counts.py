"""Formats counts with nouns, such as "2,000 files", and shortened lists, such as "a, b and 3 more"."""

from collections.abc import Sequence


def counted(count: int, noun: str, plural: str = "") -> str:
    """The count with its noun, such as "1 file". The plural is the noun with an s unless `plural` is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def first_of(names: Sequence[str], shown: int) -> str:
    """The names, separated by commas; beyond `shown` names, only the number of further names is given."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
