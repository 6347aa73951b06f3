"""Chooses the windows in which samples of a very large set are shuffled, from the training split alone."""

LARGE = 10_000_000
"""By default, a split with more images than this is shuffled in windows, because shuffling takes memory."""
IN_A_WINDOW = 1 << 20
"""The least number of images in a window, so that classes mix well."""
FEWEST_SHARDS = 8
"""The least number of shards in a window, because a tar that was made elsewhere may hold only a few classes."""


def window_for(samples: int, shards: int) -> int | None:
    """Return the number of shards in a window of a split with this many samples and shards.

    None means that the whole split is shuffled together.
    """
    if samples <= LARGE:
        return None
    length = max(-(-IN_A_WINDOW * shards // samples), FEWEST_SHARDS)
    return length if length < shards else None
