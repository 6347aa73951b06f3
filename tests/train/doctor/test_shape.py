from hypothesis import given
from hypothesis import strategies as st

from headrace.train.doctor.shape import Budget, Shape, fit, units_of

counts = st.integers(1, 64)
seconds = st.floats(1e-4, 100)


@given(st.integers(2, 512), counts, counts, seconds, st.floats(0.1, 10))
def test_steps_fit_into_their_time(group: int, groups: int, processes: int, each: float, most: float) -> None:
    """A step takes at most its time, or is the smallest possible; the job's own shape is kept if it fits."""
    groups = max(groups, processes)
    whole = Shape(group, groups)
    shape = fit(whole, processes, each, most)
    took = -(-shape.groups // processes) * each * shape.group / group
    assert took <= most * (1 + 1e-9) or shape.group == 2
    assert shape.group <= group
    assert shape.groups <= max(groups, processes)
    assert shape.groups >= processes
    if -(-groups // processes) * each <= most:
        assert shape == whole
    if each <= most:
        assert shape.group == group


@given(seconds, seconds, st.integers(1, 8))
def test_turns_are_whole_bunches(unit: float, turn: float, multiple: int) -> None:
    """A turn has whole bunches of units, as many as fit best."""
    units = units_of(unit, turn, multiple)
    assert units >= multiple
    assert units % multiple == 0
    assert units == multiple or abs(units * unit - turn) <= unit * multiple * 0.500001


@given(st.floats(0.5, 100), seconds)
def test_rounds_keep_to_the_budget(budget: float, longest: float) -> None:
    """There are five rounds if they fit, fewer with long turns, and always at least three for a median."""
    rounds = Budget(budget).rounds(longest)
    assert 3 <= rounds <= 5
    assert rounds == 3 or rounds * max(longest, Budget(budget).turn) <= budget * (1 + 1e-9)
