import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.shards import system
from headrace.shards.order import Order, Steps, Windows
from headrace.shards.shardset import ShardSet
from headrace.shards.shuffling import expected_classes, seen_classes, shuffle_quality
from tests.prep.figures import figures_of

shard_sizes = st.lists(st.integers(0, 12), min_size=1, max_size=9).filter(sum).map(tuple)
lengths = st.integers(1, 10)
seeds = st.integers(0, 2**63 - 1)


def order_of(shards: tuple[int, ...], length: int, seed: int = 0) -> Order:
    """An order that shuffles within windows."""
    return Order(sum(shards), seed, Windows(length, shards))


def taken(order: Order, first: int, last: int) -> list[tuple[int, int]]:
    """The (epoch, id) at each position of the sequence."""
    epochs, ids = order.positions(first, last)
    return list(zip(epochs.tolist(), ids.tolist(), strict=True))


def test_windowed_permutations_never_change() -> None:
    """A run with windows can be repeated with any later version only if these orders never change."""
    assert order_of((4, 3, 3), 1).permutation(0).tolist() == [6, 5, 4, 1, 3, 2, 0, 8, 7, 9]
    assert order_of((4, 3, 3), 2).permutation(1).tolist() == [1, 9, 7, 2, 8, 3, 0, 6, 4, 5]


@given(shards=shard_sizes, length=lengths, seed=seeds, epoch=st.integers(0, 10**6))
def test_each_epoch_is_a_permutation(shards: tuple[int, ...], length: int, seed: int, epoch: int) -> None:
    """Each id occurs once in an epoch, even if some shards are empty."""
    assert sorted(order_of(shards, length, seed).permutation(epoch).tolist()) == list(range(sum(shards)))


@given(shards=shard_sizes, seed=seeds, epoch=st.integers(0, 99), more=st.integers(0, 3))
def test_window_of_all_shards_is_the_whole_set(shards: tuple[int, ...], seed: int, epoch: int, more: int) -> None:
    """A window of all shards gives the order over the whole set."""
    windowed = order_of(shards, len(shards) + more, seed)
    assert windowed.permutation(epoch).tolist() == Order(sum(shards), seed).permutation(epoch).tolist()


@given(shards=shard_sizes, length=lengths, seed=seeds, epoch=st.integers(0, 99))
def test_a_window_is_finished_before_the_next(shards: tuple[int, ...], length: int, seed: int, epoch: int) -> None:
    """No shard of a later window of `length` shards is read before the current window is finished."""
    shard_of = np.repeat(np.arange(len(shards)), shards)
    found = shard_of[order_of(shards, length, seed).permutation(epoch)]
    first = {shard: int(np.flatnonzero(found == shard)[0]) for shard in set(found.tolist())}
    last = {shard: int(np.flatnonzero(found == shard)[-1]) for shard in first}
    for place in range(len(found)):
        assert sum(first[shard] <= place <= last[shard] for shard in first) <= length


@given(shards=shard_sizes, length=lengths, cuts=st.lists(st.integers(0, 200), min_size=2, max_size=6))
def test_sequence_may_be_cut_and_begun_anywhere(shards: tuple[int, ...], length: int, cuts: list[int]) -> None:
    """Pieces in any order, each from a new order object, make up the whole sequence without a gap."""
    places = sorted(cuts)
    pieces = [taken(order_of(shards, length), first, last) for first, last in pairwise(places)]
    used = order_of(shards, length)
    backwards = [taken(used, first, last) for first, last in reversed(list(pairwise(places)))]
    whole = taken(order_of(shards, length), places[0], places[-1])
    assert [pair for piece in pieces for pair in piece] == whole
    assert [pair for piece in reversed(backwards) for pair in piece] == whole


@settings(max_examples=40)
@given(shards=shard_sizes, length=lengths, groups=st.integers(1, 8), ranks=st.integers(1, 8), step=st.integers(0, 9))
def test_ranks_share_the_windowed_batch(
    shards: tuple[int, ...], length: int, groups: int, ranks: int, step: int
) -> None:
    """The groups of all ranks, each from its own order object, make up the batch for any number of ranks."""
    steps, ranks = Steps(sum(shards), groups * 3, 3), min(ranks, groups)
    orders = [order_of(shards, length) for _ in range(ranks)]
    seen = [
        pair
        for rank, order in enumerate(orders)
        for one in steps.groups_of(ranks, rank)
        for pair in taken(order, *steps.group_span(step, one))
    ]
    assert seen == taken(order_of(shards, length), step * groups * 3, (step + 1) * groups * 3)


def test_shards_and_samples_change_places() -> None:
    """In another epoch the windows hold other shards, and the samples of a shard come in another order."""
    order, size = order_of((10,) * 20, 2), 20
    windows = [{one // 10 for one in order.permutation(epoch)[:size].tolist()} for epoch in range(30)]
    assert len({tuple(sorted(window)) for window in windows}) > 20
    inside = {tuple(one for one in order.permutation(epoch).tolist() if one < 10) for epoch in range(30)}
    assert len(inside) == 30


@pytest.mark.parametrize(("length", "shards"), [(0, (10,)), (1, (9,)), (1, ())])
def test_windows_of_another_set_are_refused(length: int, shards: tuple[int, ...]) -> None:
    """Windows must have at least one shard and cover exactly the samples of the set."""
    with pytest.raises(ValueError, match="expected at least 1 shard per window, and 10 samples in all"):
        Order(10, 0, Windows(length, shards))


def test_memory_is_that_of_windows() -> None:
    """Reading a set of 40 million samples in windows takes no memory beyond the windows (8 bytes an id)."""
    import tracemalloc

    order = order_of((10_000,) * 4000, 2)
    tracemalloc.start()
    for first in range(0, 200_000, 1000):
        order.positions(39_900_000 + first, 39_900_000 + first + 256)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


def test_reads_stay_within_a_window(tiny_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """System calls show that a batch reads one tar with a window of 1, and many tars without windows."""
    split = ShardSet.open(tiny_set).split("train")
    read: list[int] = []
    pread = system.pread

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        read.append(descriptor)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(system, "pread", counted)

    def tars(order: Order) -> list[int]:
        """The number of tars that each batch of 32 of the epoch reads."""
        found = []
        for first in range(0, 480, 32):
            read.clear()
            split.jpegs(order.positions(first, first + 32).ids)
            found.append(len(set(read)))
        return found

    assert split.shard_sizes == (96,) * 5  # three batches each
    assert tars(Order(480, 0, Windows(1, split.shard_sizes))) == [1] * 15
    assert max(tars(Order(480, 0, Windows(2, split.shard_sizes)))) == 2
    assert min(tars(Order(480, 0))) >= 4


def test_expected_classes() -> None:
    """The closed formula agrees with the mean of many drawn batches, and is exact at both ends."""
    counts = np.array([50, 5, 1, 30, 14])
    labels, order = np.repeat(np.arange(5), counts), Order(100, 1)
    seen = [len(set(labels[order.permutation(epoch)[:12]].tolist())) for epoch in range(2000)]
    assert expected_classes(counts, 12) == pytest.approx(np.mean(seen), abs=0.08)
    assert expected_classes(counts, 100) == pytest.approx(5)
    assert expected_classes(counts, 1) == pytest.approx(1)


def test_sorted_shards_are_told_from_mixed_ones() -> None:
    """The figures show that small windows mix badly if each shard has one class, and well if shards are mixed."""
    labels, shards = np.repeat(np.arange(20), 100), (100,) * 20
    found = shuffle_quality(labels.__getitem__, np.bincount(labels), shards, 64, 16, (1, 2, 8, 20))
    assert sorted(found.windows) == [1, 2, 8]
    assert found.whole == pytest.approx(found.expected, rel=0.02)
    in_batch = {length: classes.batch for length, classes in found.windows.items()}
    assert in_batch[1] < 2
    assert in_batch[1] < in_batch[2] < in_batch[8] < 0.6 * found.expected.batch
    assert sorted(found.partitions) == [2, 4]
    assert found.partitions[4].batch > 0.9 * found.expected.batch
    assert 4 < found.partitions[4].group < 6 < found.partitions[2].group  # as 5 of 20 shards, of a class each, give
    mixed = labels[Order(2000, 5).permutation(0)]
    assert seen_classes(mixed, order_of(shards, 2), 64, 16) == pytest.approx(found.expected, rel=0.02)


def test_inspect_prints_the_quality(tiny_set: Path) -> None:
    """The figures of a set say how many classes a batch has, over the whole set and in windows."""
    lines = figures_of(tiny_set).splitlines()
    assert "  classes in a batch of 256: 12.0 expected, 12.0 over the whole set" in lines
    assert any(line.startswith("  classes in a group of 32: 11.3 expected, 11.") for line in lines)
    assert any(line.startswith("    in partitions (train.partitions): 12.0 with 2, ") for line in lines)
    (read,) = (line for line in lines if line.startswith("  MB that a host reads in an epoch: "))
    whole, *parts = [float(number) for number in re.findall(r"\d+\.\d", read)]
    assert parts == pytest.approx([whole / 2, whole * 3 / 8, whole / 4, whole / 8], abs=0.1)
    assert any(line.startswith("    in windows of shards (train.window): 12.0 with 1, ") for line in lines)
