"""The window that the order of a very large set is drawn in: a pure function of the training split."""

LARGE = 10_000_000
"""Training images above which a recipe without a window gets one: the order of all takes seconds and memory."""
IN_A_WINDOW = 1 << 20
"""Images that a window has at least, so that classes mix well."""
FEWEST_SHARDS = 8
"""Shards that it has at least: tars that were made elsewhere may each have few classes."""


def window_for(samples: int, shards: int) -> int | None:
    """Shards in a window of a split with so many samples; None where the order is over the whole set."""
    if samples <= LARGE:
        return None
    length = max(-(-IN_A_WINDOW * shards // samples), FEWEST_SHARDS)
    return length if length < shards else None
