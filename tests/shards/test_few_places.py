"""Samples at a few places of an epoch are those of the whole order."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards import few_places
from headrace.shards.few_places import ids_of
from headrace.shards.order import Order

BATCH = 4
SHARDS = st.lists(st.integers(0, 30), min_size=1, max_size=9).filter(sum).map(tuple)
SPANS = st.lists(st.tuples(st.integers(0, 270), st.integers(0, 40)), max_size=5)


@pytest.mark.parametrize("bits", [3, few_places._BITS])
@given(
    shards=SHARDS,
    seed=st.integers(0, 99),
    partitions=st.sampled_from([1, 2, 4]),
    window=st.none() | st.integers(1, 4),
    spans=SPANS,
)
def test_ids_are_those_of_the_order(
    shards: tuple[int, ...], seed: int, partitions: int, window: int | None, spans: list[tuple[int, int]], bits: int
) -> None:
    """In any order, for spans that meet, repeat or are empty; with ranges of hashes that hold many ids or few."""
    order = Order.of(shards, seed, window, partitions, BATCH)
    last = sum(shards) // BATCH * BATCH
    asked = [(min(first, last), min(first + length, last)) for first, length in spans]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_places, "_BITS", bits)
        patch.setattr(few_places, "_TOGETHER", 7)
        found = ids_of(order, asked)
    assert [one.tolist() for one in found] == [order.positions(*span).ids.tolist() for span in asked]


def test_memory_follows_from_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches of a million samples take a fraction of the memory of its order."""
    order = Order.of((1_000_000,), 3, None, 1, 256)
    expected = order.permutation(0)
    spans = [(0, 256), (512_000, 512_256)]
    monkeypatch.setattr(few_places, "_TOGETHER", 1 << 12)
    monkeypatch.setattr(few_places, "_BITS", 14)
    tracemalloc.start()
    found = ids_of(order, spans)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [one.tolist() for one in found] == [expected[slice(*span)].tolist() for span in spans]
    assert peak < expected.nbytes / 4
