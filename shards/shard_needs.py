"""Computes in advance which shards a rank will read, and in which steps, so that shards can be fetched ahead."""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from heapq import merge
from itertools import count
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from headrace.shards.line import Line, Pieces
from headrace.shards.order import Order, Steps, deal
from headrace.shards.partitions import Partitions


class Need(NamedTuple):
    """The shards of a window, in their drawn order, which are read in steps `first` to `last` (excluded)."""

    first: int
    last: int
    shards: tuple[int, ...]


class _Places(NamedTuple):
    """The places of one rank in a partition: `first` to `last` (excluded) of the partition's places in every batch."""

    partition: int
    first: int
    last: int


def training_needs(
    order: Order, shards: tuple[int, ...], steps: Steps, groups: range, first_step: int = 0
) -> Iterator[Need]:
    """Yield, without end, the shards that a rank needs for `groups` from `first_step` on, in the order of first use.

    `shards` has the number of samples of each shard. If the order has windows, a Need is one window. Otherwise a Need
    has all shards of an epoch, or of a partition's part of an epoch. A shard is needed again in later epochs. Two
    partitions need the same shard if one of the partitions ends inside the shard. The memory holds the
    shard orders of two epochs, and the shards of one window for each partition.
    """
    parts = order.partitions or Partitions(1, steps.global_batch, shards)
    lines = lru_cache(maxsize=2)(partial(Line, order.seed, shards=shards))
    length = order.windows.length if order.windows else None
    places = _places(parts, steps, groups)
    return merge(*(_partition(parts, one, lines, length, first_step) for one in places), key=attrgetter("first"))


def shards_of(shards: tuple[int, ...], first: int, last: int) -> list[int]:
    """The indexes of the shards that contain ids `first` to `last` (excluded), in order, as validation reads them."""
    ends = np.cumsum(np.array(shards, np.int64))
    begin, end = np.searchsorted(ends, (first, last - 1), side="right").tolist() if first < last else (0, -1)
    return [number for number in range(begin, end + 1) if shards[number]]


def most_read(partitions: int, groups: int, ranks: int, ranks_per_host: int = 1) -> int:
    """The largest number of partitions from which a single host reads, for the groups that its ranks compute.

    If partitions and groups are both multiples of the number of hosts, the result is `partitions` divided by that
    number. Otherwise the result is larger.
    """
    parts, firsts = Partitions(partitions, groups, ()), range(0, ranks, ranks_per_host)
    hosts = [groups_of_host(groups, ranks, first, ranks_per_host) for first in firsts]
    return max(len(parts.touched(host.start, host.stop)) for host in hosts)


def groups_of_host(groups: int, ranks: int, first: int, ranks_per_host: int) -> range:
    """The consecutive groups of every step that the ranks of a host compute; `first` is the first rank of the host."""
    last = min(first + ranks_per_host, ranks) - 1
    return range(deal(groups, ranks, first).start, deal(groups, ranks, last).stop)


def _places(parts: Partitions, steps: Steps, groups: range) -> list[_Places]:
    """The places of a rank that computes `groups`, one entry for each partition whose samples are in the groups."""
    first, last = groups.start * steps.group, groups.stop * steps.group
    return [
        _Places(one, max(first - one * parts.share, 0), min(last - one * parts.share, parts.share))
        for one in parts.touched(first, last)
    ]


def _partition(
    parts: Partitions, mine: _Places, lines: Callable[[int], Line], length: int | None, first_step: int
) -> Iterator[Need]:
    """Yield without end the needs of a rank in one partition, from `first_step` on."""
    share, partition = parts.share, mine.partition
    for epoch in count(parts.epoch_at(first_step * share + mine.first, partition)):
        begin = parts.given(epoch, partition)
        pieces = lines(epoch).part(*parts.part(epoch, partition))
        for window in _windows(pieces, length):
            end = begin + int(window.sizes.sum())
            # Step s reads the window if places s * share + mine.first to s * share + mine.last overlap its places.
            first, last = (begin - mine.last) // share + 1, (end - mine.first - 1) // share + 1
            begin = end
            shards = tuple(window.shards[window.sizes > 0].tolist())
            if shards and max(first, first_step) < last:
                yield Need(max(first, first_step), last, shards)


def _windows(pieces: Pieces, length: int | None) -> Iterator[Pieces]:
    """Yield the pieces in windows of `length` shards; all pieces as one window if `length` is None."""
    length = length or max(len(pieces.shards), 1)
    for first in range(0, len(pieces.shards), length):
        yield Pieces(*(column[first : first + length] for column in pieces))
