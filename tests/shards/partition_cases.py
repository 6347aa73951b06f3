"""Random sets with random partitions, and the order of their samples."""

from typing import NamedTuple

from hypothesis import strategies as st

from headrace.shards.order import Order, Windows
from headrace.shards.partitions import Partitions

shard_sizes = st.lists(st.integers(0, 40), min_size=1, max_size=11).filter(sum).map(tuple)
seeds = st.integers(0, 2**63 - 1)


class Case(NamedTuple):
    """A set, and the settings of the order in which it is read."""

    shards: tuple[int, ...]
    partitions: int
    share: int
    window: int | None
    seed: int

    @property
    def batch(self) -> int:
        """The number of samples in a step."""
        return self.partitions * self.share

    def order(self) -> Order:
        """A newly made order."""
        windows = None if self.window is None else Windows(self.window, self.shards)
        return Order(sum(self.shards), self.seed, windows, Partitions(self.partitions, self.batch, self.shards))


cases = st.builds(
    Case, shard_sizes, st.sampled_from([1, 2, 3, 4, 8]), st.integers(1, 8), st.sampled_from([None, 1, 2, 3]), seeds
)


def taken(order: Order, first: int, last: int) -> list[tuple[int, int]]:
    """The (epoch, id) at each position."""
    epochs, ids = order.positions(first, last)
    return list(zip(epochs.tolist(), ids.tolist(), strict=True))
