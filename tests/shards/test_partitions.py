from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.shards.line import Line
from headrace.shards.order import Order, Steps, Windows
from headrace.shards.partitions import Partitions
from tests.shards.partition_cases import Case, cases, seeds, shard_sizes, taken

EPOCHS = 3


def test_partitioned_orders_never_change() -> None:
    """A run with partitions can be repeated with any later version only if these orders never change."""
    shards = (4, 3, 3)
    order = Order(10, 0, None, Partitions(2, 4, shards))
    assert order.permutation(0).tolist() == [1, 6, 5, 4, 0, 8, 3, 7, 9, 2]
    assert order.positions(0, 12).ids.tolist() == [1, 6, 8, 3, 5, 4, 7, 9, 0, 1, 2, 6]
    windowed = Order(10, 0, Windows(1, shards), Partitions(2, 4, shards))
    assert windowed.positions(4, 16).ids.tolist() == [4, 1, 8, 7, 0, 1, 9, 9, 2, 3, 8, 6]


@given(shards=shard_sizes, window=st.sampled_from([None, 1, 2, 3]), seed=seeds, first=st.integers(0, 300))
def test_one_partition_is_the_order_without(shards: tuple[int, ...], window: int | None, seed: int, first: int) -> None:
    """A single partition gives the same order as none, both with and without windows."""
    windows = None if window is None else Windows(window, shards)
    plain, one = Order(sum(shards), seed, windows), Order(sum(shards), seed, windows, Partitions(1, 7, shards))
    assert taken(one, first, first + 50) == taken(plain, first, first + 50)


@settings(max_examples=400, deadline=None)
@given(case=cases)
def test_each_epoch_has_each_id_once_and_ends_in_time(case: Case) -> None:
    """Epoch e is complete after exactly ceil((e + 1) n / B) steps, even with fewer shards than partitions."""
    order, samples = case.order(), sum(case.shards)
    steps = Steps(samples, case.batch, case.share)
    through: dict[int, list[int]] = {epoch: [] for epoch in range(EPOCHS)}
    ended: dict[int, int] = {}
    for step in range(steps.ends(EPOCHS - 1)):
        for epoch, one in taken(order, step * case.batch, (step + 1) * case.batch):
            through.setdefault(epoch, []).append(one)
        ended |= {e: step + 1 for e, ids in through.items() if len(ids) == samples and e not in ended}
    for epoch in range(EPOCHS):
        assert sorted(through[epoch]) == list(range(samples))
        assert ended[epoch] == steps.ends(epoch)


@settings(max_examples=100, deadline=None)
@given(case=cases, cuts=st.lists(st.integers(0, 300), min_size=2, max_size=6))
def test_sequence_may_be_cut_and_begun_anywhere(case: Case, cuts: list[int]) -> None:
    """Pieces in any order, each from a new order object, make up the whole: a run can resume at any step."""
    spans = list(pairwise(sorted(cuts)))
    used, whole = case.order(), taken(case.order(), min(cuts), max(cuts))
    backwards = [taken(used, *span) for span in reversed(spans)]
    assert [pair for span in spans for pair in taken(case.order(), *span)] == whole
    assert [pair for piece in reversed(backwards) for pair in piece] == whole


@settings(max_examples=100, deadline=None)
@given(case=cases, group=st.integers(1, 4), ranks=st.integers(1, 12), step=st.integers(0, 9))
def test_ranks_share_the_batch(case: Case, group: int, ranks: int, step: int) -> None:
    """The groups of all ranks, each from its own order object, make up the batch, whatever the group size."""
    case = case._replace(share=case.share * group)
    steps, batch = Steps(sum(case.shards), case.batch, group), case.batch
    ranks = min(ranks, steps.groups)
    orders = [case.order() for _ in range(ranks)]
    seen = [
        pair
        for rank, order in enumerate(orders)
        for one in steps.groups_of(ranks, rank)
        for pair in taken(order, *steps.group_span(step, one))
    ]
    assert seen == taken(case.order(), step * batch, (step + 1) * batch)


@settings(max_examples=100, deadline=None)
@given(case=cases, step=st.integers(0, 20))
def test_places_of_a_batch_belong_to_partitions(case: Case, step: int) -> None:
    """The samples of a partition in an epoch come from one stretch of the line, which follows that before."""
    order, parts = case.order(), Partitions(case.partitions, case.batch, case.shards)
    for partition in range(case.partitions):
        first = step * case.batch + partition * case.share
        for epoch, one in taken(order, first, first + case.share):
            before = sum(end - begin for begin, end in (parts.part(epoch, low) for low in range(partition)))
            begin, end = parts.part(epoch, partition)
            assert begin == before
            assert one in order.permutation(epoch)[begin:end].tolist()


@settings(max_examples=100, deadline=None)
@given(case=cases, epoch=st.integers(0, 99))
def test_shards_of_a_part_are_bounded(case: Case, epoch: int) -> None:
    """No part spans more than `most_shards` shards; with equal shards that divide evenly this is S / L + 1."""
    parts = Partitions(case.partitions, case.batch, case.shards)
    line = Line(case.seed, epoch, case.shards)
    for partition in range(case.partitions):
        assert np.count_nonzero(line.part(*parts.part(epoch, partition)).sizes) <= parts.most_shards
    assert [Partitions(count, 8, (30,) * 16).most_shards for count in (1, 2, 4, 8)] == [16, 9, 5, 3]


@settings(max_examples=100, deadline=None)
@given(case=cases, length=st.integers(1, 3), epoch=st.integers(0, 99))
def test_windows_lie_inside_partitions(case: Case, length: int, epoch: int) -> None:
    """At most `length` shards in each partition are begun and not yet finished."""
    order, parts = case._replace(window=length).order(), Partitions(case.partitions, case.batch, case.shards)
    shard_of = np.repeat(np.arange(len(case.shards)), case.shards)
    drawn = shard_of[order.permutation(epoch)]
    for partition in range(case.partitions):
        found = drawn[slice(*parts.part(epoch, partition))]
        places = {shard: np.flatnonzero(found == shard) for shard in set(found.tolist())}
        for place in range(len(found)):
            assert sum(one[0] <= place <= one[-1] for one in places.values()) <= length


@given(samples=st.integers(1, 99), count=st.integers(1, 12), epoch=st.integers(0, 10**9), place=st.integers(0, 10**15))
def test_arithmetic_is_that_of_its_definition(samples: int, count: int, epoch: int, place: int) -> None:
    """Parts are F(e + 1, l) - F(e, l) long and cover the line; `epoch_at` gives the epoch that holds a place."""
    parts, end = Partitions(count, count, (samples,)), 0
    for partition in range(count):
        begin, last = parts.part(epoch, partition)
        size = (samples * (epoch + 1) + partition) // count - (samples * epoch + partition) // count
        assert (begin, last - begin) == (end, size)
        found = parts.epoch_at(place, partition)
        assert parts.given(found, partition) <= place < parts.given(found + 1, partition)
        end = last
    assert end == samples


def test_each_partition_sees_another_part_in_each_epoch() -> None:
    """Over 30 epochs a partition that has 2 of 20 shards at a time reads nearly all of them."""
    order = Order(200, 0, None, Partitions(10, 20, (10,) * 20))
    read = [{one // 10 for one in order.permutation(epoch)[:20].tolist()} for epoch in range(30)]
    assert all(len(shards) == 2 for shards in read)
    assert len(set().union(*read)) > 17


def test_memory_is_that_of_a_partition() -> None:
    """A rank that reads one of 40 partitions of 40 million samples holds nothing of the other partitions."""
    import tracemalloc

    shards = (10_000,) * 4000
    order = Order(sum(shards), 0, Windows(2, shards), Partitions(40, 40 * 32, shards))
    tracemalloc.start()
    for step in range(30_000, 33_000, 10):
        order.positions(step * 1280 + 64, step * 1280 + 96)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize(("count", "batch"), [(0, 8), (3, 8), (16, 8)])
def test_partitions_divide_the_batch(count: int, batch: int) -> None:
    """The number of partitions must divide the batch, so that each place belongs to exactly one partition."""
    with pytest.raises(ValueError, match="expected a number that divides the batch"):
        Partitions(count, batch, (10,))


def test_partitions_of_another_set_are_refused() -> None:
    """Partitions must cover exactly the samples of the set."""
    with pytest.raises(ValueError, match="have 9 samples, expected 10"):
        Order(10, 0, None, Partitions(2, 4, (9,)))
