"""Counts image sizes in fixed bins, so that the histograms of two sets can be compared bin by bin."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIDES: Final = (1, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192)
"""The lower edges of the bins of widths and heights, in pixels."""
BYTES: Final = (1, *(digit * 10**power for power in (3, 4, 5, 6) for digit in (1, 2, 5)), 10_000_000)
ASPECTS: Final = (0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 0.9, 1.1, 4 / 3, 3 / 2, 2.0, 3.0, 4.0)
"""The lower edges of the bins of aspect ratios, width / height."""
EDGES: Final[Mapping[str, tuple[float, ...]]] = {"width": SIDES, "height": SIDES, "aspect": ASPECTS, "bytes": BYTES}
"""For each quantity, the lower edges of its bins. A bin ends below the next edge; the last bin has no upper end."""


def counts_in(edges: tuple[float, ...], values: NDArray[np.generic]) -> NDArray[np.int64]:
    """The number of values in each bin, int64 (len(edges),). Values below the first edge are in the first bin."""
    bins = np.searchsorted(np.array(edges, np.float64), values, side="right") - 1
    return np.bincount(bins.clip(min=0), minlength=len(edges))
