"""Chooses the setting that the user should change, and predicts from measurements how much faster the job becomes."""

from typing import NamedTuple

from headrace.train.doctor.measured import Rung
from headrace.train.doctor.reading import WORTH, Reading
from headrace.train.doctor.stalls import gain_of_waiting


class Knob(NamedTuple):
    """A setting of the recipe's section `runtime`, and the factor by which the job is predicted to become faster."""

    setting: str
    gain: float
    words: str
    writes: str = ""
    """The data that a run with this setting writes, in words; the doctor tries no setting that writes data."""


def best_knob(reading: Reading) -> Knob | None:
    """Return the setting with the largest predicted gain; None if no gain is worth mentioning."""
    knobs = [knob for knob in (_threads(reading), _mixed(reading), _cache(reading)) if knob and knob.gain >= WORTH]
    return max(knobs, key=lambda knob: knob.gain, default=None)


def _threads(reading: Reading) -> Knob | None:
    """Predict the gain from one thread for each usable core; None if the process already has that many threads."""
    job = reading.measured.job
    if job.threads >= job.usable:
        return None
    more = job.usable / job.threads
    computing = reading.rate(Rung.THREADS)
    if job.gpu:
        gain = _fed(reading, more)
    else:
        gain = 1.0 if computing is None else computing / reading.measured.rungs[Rung.STEP].rate
    words = f"{job.usable} threads instead of {job.threads}, one for each core that a process may use"
    return Knob(f"runtime.threads={job.usable}", gain, words)


def _mixed(reading: Reading) -> Knob | None:
    """Predict the gain from decoding JPEGs on the GPU; None if decoding on the GPU was not measured."""
    own, other = reading.rate(Rung.INPUT), reading.rate(Rung.MIXED)
    if own is None or other is None:
        return None
    return Knob("runtime.decode=mixed", _fed(reading, other / own), "JPEGs decoded by the GPU")


def _cache(reading: Reading) -> Knob | None:
    """Predict the gain from a cache of decoded images, with which no JPEG needs to be decoded.

    Returns None if the cache exists already or there is no room for it.
    """
    job, timed = reading.measured.job, reading.measured.rungs
    if job.cached or job.cache_lacks or not {Rung.READ, Rung.DECODE, Rung.INPUT} <= timed.keys():
        return None
    read, decode, whole = (timed[rung].cpu_microseconds for rung in (Rung.READ, Rung.DECODE, Rung.INPUT))
    left = min(whole, max(0.0, whole - decode) + read)
    if job.shares_cores:
        gain = (reading.cpu_step + whole) / (reading.cpu_step + left)
    else:
        gain = _fed(reading, whole / left) if left else 1.0
    return Knob(
        "runtime.cache=decoded", gain, "images decoded once and kept", writes="the decoded split, beside the shard set"
    )


def _fed(reading: Reading, factor: float) -> float:
    """Return the whole job's speed-up if its input, on separate cores from the step, gets `factor` times as fast."""
    rate = reading.rate(Rung.INPUT)
    if rate is None:
        return 1.0
    return gain_of_waiting(min(reading.synthetic, rate * factor) / reading.real, reading.stall)
