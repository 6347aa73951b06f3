"""Computes the prep stall, the fetch stall, and the gain from removing a resource's limit, from measured rates."""

from typing import NamedTuple


class Stalls(NamedTuple):
    """The stalls of a job, as fractions of the time per image in the whole job."""

    prep: float
    """The time lost even if files are in memory: to decoding, resizing and transfer, which may share the step's cores.
    """
    fetch: float
    """The further time lost to reading the files."""


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
    """Return the largest factor by which the whole job can become faster if one resource is unlimited.

    `gain` is the factor that the rates of the rungs predict. A step that waits for data in a fraction `stall` of the
    time can save at most that fraction.
    """
    return max(1.0, min(gain, 1 / (1 - min(stall, 0.999))))
