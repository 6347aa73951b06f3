"""Percentiles and histograms of columns that are read in parts are those of whole columns."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.shards.bins import ASPECTS, BYTES, EDGES, SIDES, counts_in
from headrace.shards.percentiles import PERCENTILES, Percentiles

SIZES = st.lists(st.integers(1, 9) | st.integers(1, 2**31 - 1), max_size=50)


def found(keys: NDArray[np.uint64], bits: int, cut: int) -> list[int]:
    """The keys at the percentiles, handed over in two parts."""
    wanted = Percentiles(len(keys), bits)
    for _ in range(wanted.readings + 1):  # one more changes nothing
        wanted.add(keys[:cut])
        wanted.add(keys[cut:])
        wanted.end_reading()
    return [int(key) for key in wanted.found]


@given(values=SIZES, cut=st.integers(0, 50))
def test_percentiles_of_whole_numbers(values: list[int], cut: int) -> None:
    """Those of numpy, which occur; of no value there is none."""
    expected = np.percentile(values, PERCENTILES, method="nearest").astype(int).tolist() if values else []
    assert found(np.array(values, np.uint64), 32, cut) == expected


@given(values=st.lists(st.tuples(st.integers(1, 70_000), st.integers(1, 70_000)), min_size=1, max_size=50))
def test_percentiles_of_fractions(values: list[tuple[int, int]]) -> None:
    """The bits of positive floats are in the order of the floats: all 64 are found."""
    fractions = np.array([one / other for one, other in values])
    keys = np.array(found(fractions.view(np.uint64), 64, 7), np.uint64)
    assert keys.view(np.float64).tolist() == np.percentile(fractions, PERCENTILES, method="nearest").tolist()


@given(values=SIZES, what=st.sampled_from([SIDES, BYTES]))
def test_counts_of_whole_numbers(values: list[int], what: tuple[int, ...]) -> None:
    """Each value counts in the last bin that does not begin above it."""
    naive = Counter(max(edge for edge in what if edge <= value) for value in values)
    assert counts_in(what, np.array(values, np.int32)).tolist() == [naive[edge] for edge in what]


@given(values=st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), max_size=50))
def test_counts_of_fractions(values: list[tuple[int, int]]) -> None:
    """An image of 2 : 3 or 4 : 3 counts where the bin begins, whatever its size."""
    naive = Counter(max(edge for edge in ASPECTS if edge <= one / other) for one, other in values)
    sides = np.array(values, np.int32).reshape(-1, 2)
    assert counts_in(ASPECTS, sides[:, 0] / sides[:, 1]).tolist() == [naive[edge] for edge in ASPECTS]


@pytest.mark.parametrize("sides", [(200, 300), (4000, 3000), (3000, 4000), (1920, 640), (1, 4)])
def test_usual_shapes_begin_a_bin(sides: tuple[int, int]) -> None:
    """Their fractions are edges."""
    assert sides[0] / sides[1] in ASPECTS


def test_edges_never_change() -> None:
    """Histograms of two sets can only be compared while these stay."""
    assert {name: len(edges) for name, edges in EDGES.items()} == {"width": 16, "height": 16, "aspect": 13, "bytes": 14}
    assert SIDES == (1, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192)
    assert BYTES[:5] == (1, 1000, 2000, 5000, 10_000)
    assert BYTES[-4:] == (1_000_000, 2_000_000, 5_000_000, 10_000_000)
    assert [round(edge, 4) for edge in ASPECTS] == [0, 0.25, 0.3333, 0.5, 0.6667, 0.75, 0.9, 1.1, 1.3333, 1.5, 2, 3, 4]
