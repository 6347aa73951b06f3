"""Examines a job for `headrace doctor`: measures its parts in new processes, and interprets their results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from headrace.shards.cores import usable_cores
from headrace.shards.counts import counted
from headrace.shards.errors import UsageError
from headrace.train.doctor.apart import measure_apart
from headrace.train.doctor.asked import Asked, Kind, Part
from headrace.train.doctor.fit import Fit, fit_scaling
from headrace.train.doctor.knobs import Knob, best_knob
from headrace.train.doctor.reading import Reading
from headrace.train.doctor.shape import Budget


class Tried(NamedTuple):
    """A setting that was tried: the job's rate without and with the setting, in images a second.

    Each rate was measured in a separate process.
    """

    knob: Knob
    before: float
    after: float

    @property
    def gain(self) -> float:
        """The factor by which the setting changed the job's rate."""
        return self.after / self.before


class Scaled(NamedTuple):
    """The measurement of the job on one number of processes, with `rate` in images a second."""

    processes: int
    rate: float
    epoch_seconds: float
    efficiency: float
    """The rate per process as a fraction of the rate per process on the fewest processes."""


@dataclass(frozen=True)
class Examination:
    """The findings of `headrace doctor` about a job.

    `tried` is None if no trial was requested or no setting can be tried; `scaled` is empty if no scaling was requested.
    """

    reading: Reading
    knob: Knob | None
    tried: Tried | None = None
    cores_each: int = 0
    scaled: tuple[Scaled, ...] = ()
    fit: Fit | None = None
    min_ratio: float | None = None

    @property
    def passes(self) -> bool:
        """Whether R_real / R_synth, as a fraction of its largest value on this machine, is at least `min_ratio`."""
        return self.min_ratio is None or self.reading.verdict.reached >= self.min_ratio


def examine(
    asked: Asked,
    *,
    scale: Sequence[int] = (),
    attempt: bool = False,
    cold: bool = False,
    min_ratio: float | None = None,
    budget: Budget = Budget(),  # noqa: B008  a tuple, so it cannot change
) -> Examination:
    """Measure a job and interpret the figures; `budget` sets the time for measuring each part of the job.

    Raises UsageError if a number of processes in `scale` is larger than the number of cores. The measuring processes
    report their own errors.
    """
    cores_each, whole = _cores_each(scale), Part(Kind.WHOLE, budget)
    reading = Reading(measure_apart(asked, Part(Kind.COLD if cold else Kind.LADDER, budget)))
    knob = best_knob(reading)
    tried = _tried(asked, knob, whole) if attempt and knob and not knob.writes else None
    scaled = _scaled(asked, sorted(set(scale)), cores_each, whole)
    fit = fit_scaling([one.processes for one in scaled], [one.epoch_seconds for one in scaled])
    return Examination(reading, knob, tried, cores_each, scaled, fit, min_ratio)


def _cores_each(scale: Sequence[int]) -> int:
    """Return the number of cores for each process; 0 if no scaling was requested."""
    if not scale:
        return 0
    cores = usable_cores()
    if max(scale) > cores:
        raise UsageError(
            f"--scale: {max(scale)} processes were requested, but headrace may use only {counted(cores, 'core')}. Each "
            f"process needs its own core, or the processes would slow each other down. Give at most {cores}"
        )
    return cores // max(scale)


def _tried(asked: Asked, knob: Knob, part: Part) -> Tried:
    """Measure the job without and with a setting."""
    changed = replace(asked, settings=(*asked.settings, knob.setting))
    before, after = (Reading(measure_apart(one, part)).real for one in (asked, changed))
    return Tried(knob, before, after)


def _scaled(asked: Asked, scale: Sequence[int], cores_each: int, part: Part) -> tuple[Scaled, ...]:
    """Measure the job on each number of processes, with the same number of cores for each process."""
    settings = (*asked.settings, f"runtime.threads={cores_each}")
    found: list[Scaled] = []
    for processes in scale:
        one = replace(asked, processes=processes, settings=settings)
        reading = Reading(measure_apart(one, part, processes * cores_each))
        each = reading.real / processes
        first = found[0].rate / found[0].processes if found else each
        found.append(Scaled(processes, reading.real, reading.measured.job.samples / reading.real, each / first))
    return tuple(found)
