"""Prep stall and fetch stall, and what each resource would give if it were not there: pure functions of rates."""

from typing import NamedTuple


class Stalls(NamedTuple):
    """Fractions of the time that an image takes in the whole."""

    prep: float
    """Lost although the files are in memory: to decoding, resizing, handing over, or to sharing cores with them."""
    fetch: float
    """Lost besides, to reading the files."""


def stalls(synthetic: float, memory: float, real: float) -> Stalls:
    """As DS-Analyzer takes them, by difference (Mohan et al., "Analyzing and Mitigating Data Stalls in DNN Training").

    Images a second of the step alone, of the whole with its files in memory, and of the whole. Neither is negative,
    whatever the noise of the rates, and together they are at most 1.
    """
    alone, prepared, whole = 1 / synthetic, 1 / memory, 1 / real
    prepared = min(max(prepared, alone), max(whole, alone))
    total = max(whole, alone)
    return Stalls((prepared - alone) / total, (total - prepared) / total)


def gain_of_waiting(gain: float, stall: float) -> float:
    """By what factor the whole gets faster, at the most, if one resource is relieved and the step waited so long.

    `gain` is what the rungs promise. A step that waits for a fraction `stall` of its time cannot win more than that.
    """
    return max(1.0, min(gain, 1 / (1 - min(stall, 0.999))))
