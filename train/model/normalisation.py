"""The normalisation of images for a network: mean and standard deviation of each colour."""

from pathlib import Path
from typing import NamedTuple

from headrace.train.model.preferences import preferred_by


class Normalisation(NamedTuple):
    """Mean and std of each channel, for pixels in 0..255: (x - mean) / std."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def normalisation_of(name: str, weights: Path | None = None) -> Normalisation:
    """Return the normalisation for the model called `name`. The user's own `weights` may specify another one."""
    preferred = preferred_by(name, weights)
    return Normalisation(preferred.mean, preferred.std)
