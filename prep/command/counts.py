"""Numbers of things, in words: 1 file, 2,000 files; long lists, cut: a, b and 3 more."""

from collections.abc import Sequence


def counted(count: int, noun: str, plural: str = "") -> str:
    """The number with its noun; the plural has an s if no other is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def first_of(names: Sequence[str], shown: int) -> str:
    """The names with commas; of more than `shown` the first ones, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
