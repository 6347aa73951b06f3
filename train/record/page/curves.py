"""Draws curves as inline SVG of a few kilobytes, which needs neither a script nor a style sheet."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

WIDTH, HEIGHT = 400, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 8, 24  # pixels around the plot
_MOST = 300  # largest number of points of a curve
COLOURS = ("#0b5fb0", "#b34700", "#2c7a2c", "#7b3fb5", "#b5174b", "#00767d", "#6b5a00", "#555555")
"""The colours of curves if no style sheet applies.

In dark mode the page's style sheet sets other colours for the CSS classes s0, s1 and so on.
"""
DASHES = ("", "5 3", "1 3")

Point = tuple[float, float]


class Series(NamedTuple):
    """A curve: its name, its points in order of x, and a number that selects its colour and its dash pattern."""

    name: str
    points: Sequence[Point]
    style: int = 0

    @property
    def strokes(self) -> Markup:
        """The style of the curve's line, as attributes of SVG."""
        number, dash = self.style % len(COLOURS), DASHES[self.style // len(COLOURS) % len(DASHES)]
        dashed = Markup(' stroke-dasharray="{}"').format(dash) if dash else ""
        return Markup('class="s{}" stroke="{}"{}').format(number, COLOURS[number], dashed)


class Chart(NamedTuple):
    """A chart: several curves in one frame, with x in epochs."""

    title: str
    unit: str
    series: list[Series]

    @property
    def drawn(self) -> list[Series]:
        """The curves that have at least one point; only these are drawn."""
        return [one for one in self.series if one.points]

    def svg(self) -> Markup:
        """Return the chart as an SVG element; "" if there are no points."""
        curves = [one._replace(points=thinned(one.points)) for one in self.drawn]
        if not curves:
            return Markup("")
        frame = _Frame.around([point for one in curves for point in one.points])
        parts = [frame.grid(), *(_curve(one, frame) for one in curves)]
        return Markup('<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
            WIDTH, HEIGHT, WIDTH, HEIGHT, self.summary(), Markup("").join(parts)
        )

    def summary(self) -> str:
        """Return the chart in words, for readers who cannot see the picture."""
        ends = "; ".join(f"{one.name} ends at {one.points[-1][1]:.4g}" for one in self.drawn)
        return f"{self.title} over epochs: {ends} {self.unit}".strip()


class _Frame(NamedTuple):
    """The ranges of x and y in a chart; converts points to positions in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]

    @classmethod
    def around(cls, points: Sequence[Point]) -> "_Frame":
        """Return a frame that contains all points, with a small margin above and below."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        low, high = min(ys), max(ys)
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        bottom = 0.0 if low >= 0 and low - room < 0 else low - room
        return cls((min(0.0, *xs), max(xs) or 1.0), (bottom, high + room))

    def place(self, point: Point) -> Point:
        """Return the position of a point in pixels."""
        (x0, x1), (y0, y1) = self
        across = (point[0] - x0) / (x1 - x0)
        up = (point[1] - y0) / (y1 - y0)
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> Markup:
        """Return the lines and numbers of both axes as an SVG group."""
        rows = Markup("")
        for value in ticks(*self.y):
            _, y = self.place((self.x[0], value))
            rows += Markup('<path class="grid" stroke="#c8c8c8" stroke-width="0.5" d="M{} {:.1f}H{}"/>').format(
                _LEFT, y, WIDTH - _RIGHT
            )
            rows += Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(_LEFT - 5, y + 4, _told(value))
        for value in ticks(*self.x):
            x, _ = self.place((value, self.y[0]))
            rows += Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(x, HEIGHT - 7, _told(value))
        return Markup('<g font-size="11" font-family="sans-serif" fill="currentColor">{}</g>').format(rows)


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most 300 points, each the mean of neighbouring points; the last point is kept unchanged."""
    if len(points) <= _MOST:
        return list(points)
    bounds = [number * len(points) // (_MOST - 1) for number in range(_MOST)]
    means = []
    for first, end in pairwise(bounds):
        part = points[first:end]
        means.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return [*means, points[-1]]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers within [low, high], in steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _curve(series: Series, frame: _Frame) -> Markup:
    places = [frame.place(point) for point in series.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    x, y = places[-1]
    return Markup(
        '<path {} fill="none" stroke-width="1.5" stroke-linejoin="round" d="{}"/>'
        '<circle {} fill="none" stroke-width="1.5" cx="{:.1f}" cy="{:.1f}" r="2.5"/>'
    ).format(series.strokes, path, series.strokes, x, y)


def _told(value: float) -> str:
    return f"{value:g}" if abs(value) < 10_000 else f"{value / 1000:g}k"
