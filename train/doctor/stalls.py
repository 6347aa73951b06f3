"""Computes from measured rates the time lost to preparing images (prep stall) and to reading files (fetch stall)."""

from typing import NamedTuple


class Stalls(NamedTuple):
    """The stalls of a job, as fractions of the time per image in the whole job."""

    prep: float
    """The time that decoding, resizing and transfer cost even if the files are in memory."""
    fetch: float
    """The additional time lost to reading the files from storage."""


def stalls(synthetic: float, memory: float, real: float) -> Stalls:
    """Compute the stalls from the differences of the times per image.

    The method is that of DS-Analyzer (Mohan et al., "Analyzing and Mitigating Data Stalls in DNN Training"). The
    arguments are rates in images a second: `synthetic` of the step alone, `memory` of the whole job with its files in
    memory, and `real` of the whole job. Even if the rates are noisy, no stall is negative, and the sum of the stalls is
    at most 1.
    """
    alone, prepared, whole = 1 / synthetic, 1 / memory, 1 / real
    prepared = min(max(prepared, alone), max(whole, alone))
    total = max(whole, alone)
    return Stalls((prepared - alone) / total, (total - prepared) / total)


def gain_of_waiting(gain: float, stall: float) -> float:
    """Return the largest factor by which the whole job can become faster if one resource sets no limit.

    `gain` is the factor that the measured rates predict. If the step waits for data in a fraction `stall` of the time,
    at most that fraction can be saved.
    """
    return max(1.0, min(gain, 1 / (1 - min(stall, 0.999))))
