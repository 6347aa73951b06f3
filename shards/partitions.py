"""Divides an epoch into partitions: each is a part of the shards and fills fixed places of every global batch.

In each epoch, the samples of the shards, in the drawn order of the shards, form a line of n samples. Partition l of L
is the l-th consecutive part of the line, cut between samples. Before epoch e, partition l has given F(e, l) =
floor((e n + l) / L) samples in all. In epoch e, it gives F(e + 1, l) - F(e, l) samples. The parts of all epochs, one
after another, are the partition's own sequence. Step s takes places [s b, (s + 1) b) of each partition's sequence,
where b = B / L and B is the global batch. The product b s reaches F(e + 1, l) at the same step s for all l.
So every epoch ends with the same step as without partitions, for any n, L and shard sizes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Stretch(NamedTuple):
    """Places `first` to `last` (excluded) of one partition's own sequence."""

    partition: int
    first: int
    last: int


@dataclass(frozen=True)
class Partitions:
    """`count` partitions, for global batches of `batch` samples; `shards` has the number of samples of each shard."""

    count: int
    batch: int
    shards: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.count < 1 or self.batch % self.count:
            raise ValueError(
                f"{self.count} partitions of a batch of {self.batch}: expected a number that divides the batch"
            )

    @cached_property
    def samples(self) -> int:
        """The number of samples in all shards."""
        return sum(self.shards)

    @property
    def share(self) -> int:
        """The number of places of each partition in a global batch."""
        return self.batch // self.count

    def given(self, epoch: int, partition: int) -> int:
        """The number of samples that a partition gave before `epoch`: F in the module's docstring."""
        return (epoch * self.samples + partition) // self.count

    def epoch_at(self, place: int, partition: int) -> int:
        """The epoch of a place in a partition's sequence: the last epoch with given(epoch) <= place. O(1)."""
        return ((place + 1) * self.count - 1 - partition) // self.samples

    def touched(self, first: int, last: int) -> range:
        """The partitions that fill places `first` to `last` (excluded) of every batch."""
        return range(first // self.share, -(-last // self.share)) if first < last else range(0)

    @property
    def most_shards(self) -> int:
        """The largest number of shards in a partition's part of an epoch, not counting empty shards."""
        samples, inner, sizes = -(-self.samples // self.count), 0, sorted(one for one in self.shards if one)
        # The worst case is a part of the smallest shards, with a single sample of another shard at each end.
        for number, size in enumerate(sizes):
            inner += size
            if inner > samples - 2:
                return min(number + 2, len(sizes))
        return len(sizes)

    def part(self, epoch: int, partition: int) -> tuple[int, int]:
        """First and past-the-last place of a partition's part in the line of an epoch."""
        first, last = (self._before(epoch, end) for end in (partition, partition + 1))
        return first, last

    def _before(self, epoch: int, partition: int) -> int:
        """The number of samples of an epoch in the partitions before this one."""
        later, earlier = ((epoch + 1) * self.samples, epoch * self.samples)
        return _sum_of_floors(later, self.count, partition) - _sum_of_floors(earlier, self.count, partition)

    def stretches(self, first: int, last: int) -> Iterator[Stretch]:
        """Yield the stretches that make up positions `first` to `last` (excluded) of the training sequence."""
        if self.count == 1:
            yield Stretch(0, first, last)
            return
        share = self.share
        for number in range(first // share, -(-last // share)):  # the number of shares before this one
            step, partition = divmod(number, self.count)
            back = (number - step) * share  # offset from positions to places in the partition
            yield Stretch(partition, max(first, number * share) - back, min(last, (number + 1) * share) - back)


def _sum_of_floors(total: int, count: int, terms: int) -> int:
    """The sum of floor((total + k) / count) over k from 0 to `terms` (excluded); `terms` is at most `count`. O(1)."""
    whole, rest = divmod(total, count)
    return terms * whole + max(0, terms + rest - count)
