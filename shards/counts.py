"""Counts with nouns, such as 1 file and 2,000 files; and shortened lists, such as a, b and 3 more."""

from collections.abc import Sequence


def counted(count: int, noun: str, plural: str = "") -> str:
    """The count with its noun. The plural is the noun with an s unless `plural` is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def first_of(names: Sequence[str], shown: int) -> str:
    """The names, separated by commas; if there are more than `shown`, the first ones and the number of others."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
