"""The window that a very large set is shuffled in: a pure function of the training split."""

LARGE = 10_000_000
"""Above this many training images a recipe without a window gets one: ordering all takes seconds and memory."""
IN_A_WINDOW = 1 << 20
"""A window has at least this many images, so that classes mix well."""
FEWEST_SHARDS = 8
"""A window has at least this many shards, because each tar that was made elsewhere may have few classes."""


def window_for(samples: int, shards: int) -> int | None:
    """Shards in a window of a split with this many samples and shards; None if the whole set is shuffled."""
    if samples <= LARGE:
        return None
    length = max(-(-IN_A_WINDOW * shards // samples), FEWEST_SHARDS)
    return length if length < shards else None
