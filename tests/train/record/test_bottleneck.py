import math

from hypothesis import given
from hypothesis import strategies as st

from headrace.train.record.bottleneck import COMPUTE_BOUND, Verdict, ceiling, sharing

seconds = st.floats(1e-7, 1e3)
shares = st.floats(0.01, 1)


@given(seconds, seconds)
def test_ceiling_is_the_share_of_the_step(step: float, other: float) -> None:
    """The ceiling is the step's share of the CPU time if cores are shared, and 1 otherwise."""
    assert ceiling(step, other, shared=False) == 1
    assert math.isclose(ceiling(step, other, shared=True), step / (step + other))
    assert 0 < ceiling(step, other, shared=True) <= 1


@given(seconds, seconds, seconds)
def test_ceiling_falls_as_the_input_grows(step: float, one: float, other: float) -> None:
    """More work for the input never raises the ceiling; an input that costs nothing leaves it at 1."""
    less, more = sorted((one, other))
    assert ceiling(step, less, shared=True) >= ceiling(step, more, shared=True)
    assert ceiling(step, 0, shared=True) == ceiling(step, -1e-9, shared=True) == 1  # less than none: noise of clocks


@given(st.floats(0.1, 1e6), shares, shares, st.floats(0, 100))
def test_verdict_is_that_of_the_ceiling(synthetic: float, ratio: float, most: float, stall: float) -> None:
    """A run at its ceiling is compute-bound for any ratio, and the words agree with the figure."""
    verdict = Verdict(synthetic * ratio, synthetic, stall, most)
    assert verdict.compute_bound == (verdict.reached >= COMPUTE_BOUND)
    if verdict.compute_bound:
        assert verdict.finding.startswith("compute-bound")
    assert Verdict(synthetic * most, synthetic, stall, most).compute_bound


def test_findings_in_words() -> None:
    """Each of the four findings has its own words: not bound, at the ceiling, slower without waiting, waiting."""
    assert "not the bottleneck" in Verdict(99, 100, 0).finding
    assert "at most 0.630" in Verdict(62, 100, 0.1, 0.63).finding
    assert "slower than on its own" in Verdict(62, 100, 0.1).finding
    assert Verdict(62, 100, 30).finding.startswith("input-bound: the step waited for data 30.0 %")
    fetched = Verdict(62, 100, 30, fetching=29.0).finding
    assert "30.0 % of the time, 29.0 % for shards that were being fetched" in fetched
    assert "being fetched" not in Verdict(62, 100, 30, fetching=2.0).finding
    assert Verdict(62, 100, 30).line().startswith("R_real / R_synth = 62.0 / 100.0 images/s = 0.620: input-bound")


def test_sharing_counts_threads_of_both() -> None:
    """Two processes with two threads each for step and input need eight cores to share none."""
    assert sharing(threads=2, processes=2, cores=7)
    assert not sharing(threads=2, processes=2, cores=8)
