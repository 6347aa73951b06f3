"""Fits the time of an epoch as a function of the number of processes, T(N) = a + b / N, by least squares."""

from collections.abc import Sequence
from typing import NamedTuple


class Fit(NamedTuple):
    """The seconds of an epoch: `fixed` are the same for any number of processes; `shared` are divided among them."""

    fixed: float
    shared: float

    def seconds(self, processes: int) -> float:
        """Return the predicted seconds of an epoch on this number of processes, T(N)."""
        return self.fixed + self.shared / processes


def fit_scaling(processes: Sequence[int], seconds: Sequence[float]) -> Fit | None:
    """Fit the seconds of an epoch, with no negative `fixed` or `shared`; None for fewer than two numbers of processes.

    The fit minimises relative errors: each point has the weight 1 / T(N)^2, so that the shortest epoch is fitted as
    well as the longest.
    """
    if len(set(processes)) < 2:
        return None
    rows = [(1 / t, 1 / (n * t)) for n, t in zip(processes, seconds, strict=True)]
    aa, ab, bb = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = sum(row[0] for row in rows), sum(row[1] for row in rows)
    determinant = aa * bb - ab * ab
    fixed, shared = (a1 * bb - b1 * ab) / determinant, (aa * b1 - ab * a1) / determinant
    if fixed < 0:
        return Fit(0.0, b1 / bb)
    return Fit(fixed, shared) if shared >= 0 else Fit(a1 / aa, 0.0)
