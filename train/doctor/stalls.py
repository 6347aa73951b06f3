"""Computes the prep stall, the fetch stall, and the gain from removing a resource's limit, from measured rates."""

from typing import NamedTuple


class Stalls(NamedTuple):
    """The stalls of a job, as fractions of the time per image in the whole job."""

    prep: float
    """The time lost even with the files in memory: to decoding, resizing and transfer, or to sharing cores with these.
    """
    fetch: float
    """The further time lost to reading the files."""


def stalls(synthetic: float, memory: float, real: float) -> Stalls:
    """Compute the stalls from the differences of the times per image.

    The method is that of DS-Analyzer (Mohan et al., "Analyzing and Mitigating Data Stalls in DNN Training").
    The arguments are the images a second of the step alone, of the whole job with its files in memory, and of the whole
    job. No stall is negative, whatever the noise of the rates, and the sum of the stalls is at most 1.
    """
    alone, prepared, whole = 1 / synthetic, 1 / memory, 1 / real
    prepared = min(max(prepared, alone), max(whole, alone))
    total = max(whole, alone)
    return Stalls((prepared - alone) / total, (total - prepared) / total)


def gain_of_waiting(gain: float, stall: float) -> float:
    """Return the largest possible gain of the whole job without one resource's limit, given the step's waiting time.

    `gain` is the factor that the rates of the rungs predict. A step that waits for a fraction `stall` of its time can
    gain only that time.
    """
    return max(1.0, min(gain, 1 / (1 - min(stall, 0.999))))
