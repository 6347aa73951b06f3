"""Fits the time of an epoch as a function of the number of processes, T(N) = a + b / N, by least squares."""

from collections.abc import Sequence
from typing import NamedTuple


class Fit(NamedTuple):
    """The seconds of an epoch: `fixed` is the same for any number of processes, `shared` is divided by that number."""

    fixed: float
    shared: float

    def seconds(self, processes: int) -> float:
        """Return the predicted seconds of an epoch on this number of processes, T(N)."""
        return self.fixed + self.shared / processes


def fit_scaling(processes: Sequence[int], seconds: Sequence[float]) -> Fit | None:
    """Return the fit of measured seconds of an epoch; None for fewer than two different numbers of processes.

    Neither `fixed` nor `shared` is negative. The fit minimises relative errors: each point has the weight 1 / T(N)^2,
    so short epochs count as much as long epochs.
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
