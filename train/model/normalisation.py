"""Defines how images are normalised for a network: by the mean and standard deviation of each colour."""

from pathlib import Path
from typing import NamedTuple

from headrace.train.model.preferences import preferred_by


class Normalisation(NamedTuple):
    """The mean and the standard deviation of each channel: pixels x in 0..255 become (x - mean) / std."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def normalisation_of(name: str, weights: Path | None = None) -> Normalisation:
    """Return the normalisation for the network called `name`.

    A folder of the user's own `weights` may specify another normalisation.
    """
    preferred = preferred_by(name, weights)
    return Normalisation(preferred.mean, preferred.std)
