import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.train.record.page.curves import HEIGHT, WIDTH, Chart, Series, thinned, ticks

VALUES = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
CURVES = st.lists(st.tuples(st.integers(0, 10_000).map(float), VALUES), min_size=1, max_size=50)


@given(st.lists(CURVES, min_size=1, max_size=3))
def test_all_points_are_inside_the_picture(curves: list[list[tuple[float, float]]]) -> None:
    """For any numbers, no curve leaves its frame, and every coordinate is a number."""
    picture = str(Chart("title", "", [Series("one", sorted(points)) for points in curves]).svg())
    found = [text for path in re.findall(r' d="M([\d. L-]+)"/><circle', picture) for text in path.split("L")]
    assert len(found) == sum(map(len, curves))
    for place in found:
        x, y = map(float, place.split())
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))
def test_ticks_are_few_and_round(low: float, width: float) -> None:
    """There are two to eleven ticks, evenly spaced within the range, if numbers can be told apart."""
    high = low + width
    if width < 1e-6 * max(abs(low), abs(high)):
        return
    found = ticks(low, high)
    assert 2 <= len(found) <= 11
    step = found[1] - found[0]
    assert all(math.isclose(b - a, step, rel_tol=1e-3, abs_tol=1e-9 * width) for a, b in pairwise(found))
    assert found[0] >= low - 1e-6 * width - 1e-12
    assert found[-1] <= high + 1e-6 * width + 1e-12


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 3, [0, 1, 2, 3]), (96, 104, [96, 98, 100, 102, 104])],
)
def test_ticks_are_those_that_people_would_choose(low: float, high: float, wanted: list[float]) -> None:
    """Steps are 1, 2 or 5 times a power of ten."""
    assert ticks(low, high) == wanted


@given(st.lists(st.tuples(VALUES, VALUES), max_size=2000))
def test_long_curves_become_short_ones(points: list[tuple[float, float]]) -> None:
    """Long curves have at most 300 points, which are means, and keep both ends; short curves are unchanged."""
    found = thinned(points)
    assert len(found) == min(300, len(points))
    if len(points) <= 300:
        assert found == points
    else:
        assert found[-1] == points[-1]
        low, high = min(y for _, y in points), max(y for _, y in points)
        assert all(low - 1e-6 <= y <= high + 1e-6 for _, y in found)


def test_curve_of_300_points_is_small() -> None:
    """A curve takes a few kilobytes of the page."""
    chart = Chart("Loss", "", [Series("loss", [(float(n), 1 / (n + 1)) for n in range(30_000)])])
    assert len(chart.svg()) < 5_000


def test_chart_without_a_point_is_none() -> None:
    """Without any point there is no chart."""
    chart = Chart("Loss", "", [Series("training", []), Series("validation", [])])
    assert (str(chart.svg()), chart.drawn) == ("", [])


def test_chart_is_told_in_words() -> None:
    """The text for screen readers says how each curve ends; markup in a name is shown as text."""
    chart = Chart("Accuracy", "%", [Series('"><b>', [(1.0, 5.0), (2.0, 7.5)])])
    assert chart.summary() == 'Accuracy over epochs: "><b> ends at 7.5 %'
    assert "<b>" not in str(chart.svg())
