from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards.order import Order, Steps, deal, validation_batches

sizes = st.integers(1, 60)
batches = st.integers(1, 90)
seeds = st.integers(0, 2**63 - 1)


def taken(order: Order, first: int, last: int) -> list[tuple[int, int]]:
    """The (epoch, id) at each position of the sequence."""
    epochs, ids = order.positions(first, last)
    return list(zip(epochs.tolist(), ids.tolist(), strict=True))


def test_permutations_never_change() -> None:
    """A run can be repeated with any later version only if these orders never change."""
    assert Order(10, 0).permutation(0).tolist() == [1, 6, 5, 4, 8, 3, 7, 9, 2, 0]
    assert Order(10, 0).permutation(1).tolist() == [1, 6, 9, 4, 7, 5, 2, 8, 3, 0]
    assert Order(10, 1).permutation(0).tolist() == [8, 1, 9, 7, 2, 6, 5, 4, 0, 3]


@given(samples=sizes, seed=seeds, epoch=st.integers(0, 10**6))
def test_each_epoch_is_a_permutation(samples: int, seed: int, epoch: int) -> None:
    """Each id occurs once in an epoch."""
    assert sorted(Order(samples, seed).permutation(epoch).tolist()) == list(range(samples))


@given(samples=sizes, seed=seeds, epochs=st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_order_has_no_memory(samples: int, seed: int, epochs: list[int]) -> None:
    """The order of an epoch does not depend on which epochs were requested before, or how often."""
    used = Order(samples, seed)
    for epoch in epochs:
        assert used.permutation(epoch).tolist() == Order(samples, seed).permutation(epoch).tolist()


def test_places_are_spread_evenly() -> None:
    """Over 2,000 epochs each of 8 ids is at each place about equally often (chi-square within five deviations)."""
    order = Order(8, 3)
    counts = np.zeros((8, 8))
    for epoch in range(2000):
        counts[np.arange(8), order.permutation(epoch)] += 1
    chi_square = ((counts - 250) ** 2 / 250).sum()
    assert abs(chi_square - 49) < 5 * np.sqrt(2 * 49)


@given(samples=sizes, batch=batches, seed=seeds)
def test_steps_make_whole_epochs(samples: int, batch: int, seed: int) -> None:
    """With any global batch, consecutive steps go through whole epochs and neither skip nor repeat a sample."""
    order, steps = Order(samples, seed), -(-3 * samples // batch)
    seen = [pair for step in range(steps) for pair in taken(order, step * batch, (step + 1) * batch)]
    expected = [(epoch, one) for epoch in range(3) for one in Order(samples, seed).permutation(epoch).tolist()]
    assert seen[: 3 * samples] == expected
    assert len(seen) == steps * batch


@given(samples=sizes, seed=seeds, cuts=st.lists(st.integers(0, 200), min_size=2, max_size=6))
def test_any_cut_gives_the_same_sequence(samples: int, seed: int, cuts: list[int]) -> None:
    """Positions requested in pieces, even empty ones, equal those requested at once."""
    order, places = Order(samples, seed), sorted(cuts)
    pieces = [taken(order, first, last) for first, last in pairwise(places)]
    assert [pair for piece in pieces for pair in piece] == taken(Order(samples, seed), places[0], places[-1])


def test_positions_are_a_copy() -> None:
    """A caller that changes the ids it got does not change the order."""
    order = Order(10, 0)
    order.positions(2, 5).ids[:] = -1
    assert order.positions(2, 5).ids.tolist() == [5, 4, 8]


@given(samples=sizes, batch=batches, epochs=st.integers(1, 5))
def test_epochs_end_with_the_step_that_completes_them(samples: int, batch: int, epochs: int) -> None:
    """Epoch e is complete after ends(e) steps, and not after one step fewer."""
    steps = Steps(samples, batch, batch)
    for epoch in range(epochs):
        assert steps.ends(epoch) * batch >= (epoch + 1) * samples > (steps.ends(epoch) - 1) * batch


@given(
    samples=sizes, groups=st.integers(1, 12), group=st.integers(1, 8), ranks=st.integers(1, 12), step=st.integers(0, 9)
)
def test_ranks_share_the_global_batch(samples: int, groups: int, group: int, ranks: int, step: int) -> None:
    """The groups of all ranks in turn make up the global batch, for any number of ranks up to the groups."""
    steps, order, ranks = Steps(samples, groups * group, group), Order(samples, 0), min(ranks, groups)
    shares = [steps.groups_of(ranks, rank) for rank in range(ranks)]
    assert all(len(share) for share in shares)
    seen = [pair for share in shares for one in share for pair in taken(order, *steps.group_span(step, one))]
    assert seen == taken(order, step * steps.global_batch, (step + 1) * steps.global_batch)


@given(items=st.integers(0, 200), ranks=st.integers(1, 40))
def test_deal_is_even_and_complete(items: int, ranks: int) -> None:
    """Shares follow one another without a gap and differ by one at most; earlier ranks have the larger ones."""
    shares = [deal(items, ranks, rank) for rank in range(ranks)]
    lengths = [len(share) for share in shares]
    assert [item for share in shares for item in share] == list(range(items))
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


@given(samples=st.integers(0, 500), batch=st.integers(1, 120), ranks=st.integers(1, 9))
def test_validation_covers_each_id_once(samples: int, batch: int, ranks: int) -> None:
    """The fixed batches cover each id once on any number of ranks, and only the last batch may be short."""
    spans = validation_batches(samples, batch)
    dealt = [spans[number] for rank in range(ranks) for number in deal(len(spans), ranks, rank)]
    assert [one for span in dealt for one in range(*span)] == list(range(samples))
    assert all(last - first == batch for first, last in spans[:-1])
    assert all(0 < last - first <= batch for first, last in spans)


@pytest.mark.parametrize(("ranks", "expected"), [(1, [6]), (4, [2, 2, 1, 1]), (6, [1] * 6)])
def test_six_groups(ranks: int, expected: list[int]) -> None:
    """Six groups on four ranks are shared as two, two, one, one."""
    assert [len(Steps(100, 48, 8).groups_of(ranks, rank)) for rank in range(ranks)] == expected
