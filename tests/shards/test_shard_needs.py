from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.shards.order import Order, Steps, Windows
from headrace.shards.partitions import Partitions
from headrace.shards.shard_needs import Need, groups_of_host, most_read, shards_of, training_needs
from tests.shards.partition_cases import Case, cases

STEPS = 12


def needs_of(case: Case, steps: Steps, groups: range, first: int = 0) -> list[Need]:
    """The needs that begin before STEPS."""
    order = case.order() if case.partitions > 1 else Order(sum(case.shards), case.seed, case.order().windows)
    return list(takewhile(lambda need: need.first < STEPS, training_needs(order, case.shards, steps, groups, first)))


def read_in(case: Case, steps: Steps, groups: range) -> list[set[int]]:
    """The shards that a rank actually reads in each step."""
    order, ends = case.order(), np.cumsum(case.shards)
    ids = [
        np.concatenate([order.positions(*steps.group_span(step, group)).ids for group in groups])
        for step in range(STEPS)
    ]
    return [set(np.searchsorted(ends, one, side="right").tolist()) for one in ids]


@settings(max_examples=300, deadline=None)
@given(case=cases, group=st.integers(1, 4), ranks=st.integers(1, 9), data=st.data())
def test_needs_are_what_is_read(case: Case, group: int, ranks: int, data: st.DataObject) -> None:
    """In each step a rank reads only shards it needs then, and some of each need in its first and last step."""
    case = case._replace(share=case.share * group)
    steps = Steps(sum(case.shards), case.batch, group)
    ranks = min(ranks, steps.groups)
    groups = steps.groups_of(ranks, data.draw(st.integers(0, ranks - 1)))
    needs, read = needs_of(case, steps, groups), read_in(case, steps, groups)
    assert [need.first for need in needs] == sorted(need.first for need in needs)
    for step, shards in enumerate(read):
        assert shards <= {one for need in needs if need.first <= step < need.last for one in need.shards}
    for need in needs:
        assert need.first < need.last
        for step in {need.first, need.last - 1}:
            assert step >= STEPS or read[step] & set(need.shards)


@settings(max_examples=200, deadline=None)
@given(case=cases)
def test_all_groups_need_no_shard_that_is_not_read(case: Case) -> None:
    """A rank that has all groups reads every shard of a need during its steps, and no need is empty."""
    steps = Steps(sum(case.shards), case.batch, case.batch)
    read = read_in(case, steps, range(1))
    for need in needs_of(case, steps, range(1)):
        assert need.last > STEPS or set(need.shards) <= set().union(*read[need.first : need.last])


@settings(max_examples=200, deadline=None)
@given(case=cases, first=st.integers(0, STEPS - 1))
def test_needs_from_any_step_on(case: Case, first: int) -> None:
    """A resumed run needs the rest of the current shards, and then the same shards as the original run."""
    steps, groups = Steps(sum(case.shards), case.batch, case.share), range(case.partitions)
    later = [need._replace(first=max(need.first, first)) for need in needs_of(case, steps, groups) if need.last > first]
    assert sorted(needs_of(case, steps, groups, first)) == sorted(later)


def test_a_hundred_thousand_shards_are_ordered_lazily() -> None:
    """The first window of a late step is available without computing the windows before it."""
    shards = (1000,) * 100_000
    order = Order(sum(shards), 0, Windows(8, shards), Partitions(8, 2048, shards))
    needs = training_needs(order, shards, Steps(sum(shards), 2048, 256), range(1), 10**9)
    first, second = next(needs), next(needs)
    assert (first.first, first.last, len(first.shards)) == (10**9, second.first + 1, 8)


@pytest.mark.parametrize(
    ("partitions", "groups", "ranks", "per_host", "most"),
    [
        (1, 8, 8, 1, 1),
        (8, 8, 8, 1, 1),
        (8, 64, 64, 8, 1),
        (16, 64, 64, 8, 2),
        (8, 8, 3, 1, 3),
        (2, 6, 4, 2, 2),
        (4, 8, 5, 4, 4),
    ],
)
def test_most_read(partitions: int, groups: int, ranks: int, per_host: int, most: int) -> None:
    """A host reads D / N if hosts divide partitions and groups evenly, and more if its groups span more partitions."""
    assert most_read(partitions, groups, ranks, per_host) == most


@pytest.mark.parametrize(("ranks", "per_host"), [(1, 1), (2, 2), (6, 2), (8, 4), (5, 4)])
def test_hosts_share_the_groups_of_a_step(ranks: int, per_host: int) -> None:
    """Each host has the groups of its ranks, so that all hosts together have each group once."""
    steps = Steps(1000, 96, 8)
    for first in range(0, ranks, per_host):
        own = [one for rank in range(first, min(first + per_host, ranks)) for one in steps.groups_of(ranks, rank)]
        assert list(groups_of_host(steps.groups, ranks, first, per_host)) == own


@given(shards=st.lists(st.integers(0, 5), min_size=1, max_size=9), cuts=st.tuples(*2 * [st.integers(0, 45)]))
def test_shards_of_ids(shards: list[int], cuts: tuple[int, int]) -> None:
    """Validation reads ids in order, so it needs the shards of a range of ids, each once."""
    first, last = sorted(min(cut, sum(shards)) for cut in cuts)
    expected = sorted(set(np.repeat(np.arange(len(shards)), shards)[first:last].tolist()))
    assert shards_of(tuple(shards), first, last) == expected
