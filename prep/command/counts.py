"""Numbers of things, in words: 1 file, 2,000 files."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """The number with its noun; the plural has an s if no other is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
