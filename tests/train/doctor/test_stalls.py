import math

from hypothesis import given
from hypothesis import strategies as st

from headrace.train.doctor.stalls import gain_of_waiting, stalls

rates = st.floats(0.01, 1e6)
fractions = st.floats(0, 1)


@given(rates, rates, rates)
def test_stalls_are_parts_of_the_time(synthetic: float, memory: float, real: float) -> None:
    """For any rates, no stall is negative, and together they are the job's time beyond the step's."""
    found = stalls(synthetic, memory, real)
    assert found.prep >= 0
    assert found.fetch >= 0
    assert math.isclose(found.prep + found.fetch, max(0.0, 1 - real / synthetic), abs_tol=1e-9)


@given(rates, fractions, fractions)
def test_stalls_are_the_differences(real: float, more: float, most: float) -> None:
    """From the whole job to files in memory is the fetch stall, from there to the step alone the prep stall."""
    memory = real * (1 + more)
    synthetic = memory * (1 + most)
    found = stalls(synthetic, memory, real)
    assert math.isclose(found.fetch, 1 - real / memory, abs_tol=1e-9)
    assert math.isclose(found.prep, real / memory - real / synthetic, abs_tol=1e-9)


@given(st.floats(0.1, 100), fractions)
def test_gain_is_bounded_by_what_was_waited(gain: float, stall: float) -> None:
    """A step that never waited gains nothing, and relieving a resource makes no step slower."""
    found = gain_of_waiting(gain, stall)
    assert 1 <= found <= max(1.0, gain)
    assert found * (1 - min(stall, 0.999)) <= 1 + 1e-9 or found == 1
    assert gain_of_waiting(gain, 0) == 1
