import math

from hypothesis import given
from hypothesis import strategies as st

from headrace.train.doctor.fit import fit_scaling

parts = st.floats(0, 1e4)
numbers = st.lists(st.integers(1, 64), min_size=2, max_size=6, unique=True)


@given(numbers, parts, st.floats(1, 1e4))
def test_exact_times_give_their_parts_back(processes: list[int], fixed: float, shared: float) -> None:
    """A fit to times that follow the law returns its parameters."""
    found = fit_scaling(processes, [fixed + shared / n for n in processes])
    assert found is not None
    for n in processes:
        assert math.isclose(found.seconds(n), fixed + shared / n, rel_tol=1e-6)


@given(numbers, st.data())
def test_no_part_is_negative(processes: list[int], data: st.DataObject) -> None:
    """No part is negative, whatever the times are."""
    seconds = [data.draw(st.floats(0.1, 1e4)) for _ in processes]
    found = fit_scaling(processes, seconds)
    assert found is not None
    assert found.fixed >= 0
    assert found.shared >= 0
    assert min(map(found.seconds, processes)) > 0


def test_one_number_of_processes_says_nothing() -> None:
    """Two unknowns need times for two numbers of processes."""
    assert fit_scaling([2], [1.0]) is None
    assert fit_scaling([2, 2], [1.0, 1.1]) is None
    assert fit_scaling([], []) is None
