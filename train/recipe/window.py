"""Chooses the window that a very large set is shuffled in: a pure function of the training split."""

LARGE = 10_000_000
"""Above this many training images a recipe without a window gets one, because shuffling them all takes memory."""
IN_A_WINDOW = 1 << 20
"""A window has at least this many images, so that classes mix well."""
FEWEST_SHARDS = 8
"""A window has at least this many shards, because a tar that was made elsewhere may hold only a few classes."""


def window_for(samples: int, shards: int) -> int | None:
    """Return the shards in a window of a split of this many samples and shards; None to shuffle the whole split."""
    if samples <= LARGE:
        return None
    length = max(-(-IN_A_WINDOW * shards // samples), FEWEST_SHARDS)
    return length if length < shards else None
