"""The doctor's visit: the ladder, and what is asked besides. It loads no torch; the processes that it starts do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from headrace.shards.cores import usable_cores
from headrace.shards.errors import UsageError
from headrace.train.doctor.apart import measure_apart
from headrace.train.doctor.asked import Asked, Kind, Part
from headrace.train.doctor.fit import Fit, fit_scaling
from headrace.train.doctor.knobs import Knob, best_knob
from headrace.train.doctor.reading import Reading
from headrace.train.doctor.shape import Budget


class Tried(NamedTuple):
    """A knob that was applied: R_real without and with it, images a second, each in a process of its own."""

    knob: Knob
    before: float
    after: float

    @property
    def gain(self) -> float:
        """What it gave."""
        return self.after / self.before


class Scaled(NamedTuple):
    """The job on one number of processes."""

    processes: int
    rate: float
    epoch_seconds: float
    efficiency: float
    """Rate a process, as a fraction of that of the fewest processes."""


@dataclass(frozen=True)
class Examination:
    """What was found. `tried` and `scaled` are empty where nobody asked, or no knob can be tried."""

    reading: Reading
    knob: Knob | None
    tried: Tried | None = None
    cores_each: int = 0
    scaled: tuple[Scaled, ...] = ()
    fit: Fit | None = None
    min_ratio: float | None = None

    @property
    def passes(self) -> bool:
        """Whether the ratio, as a fraction of what the machine allows, is what was asked for."""
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
    """Measure a job and read the figures; each rung has the time of `budget`.

    Raises UsageError for more processes than there are cores; what the measuring processes raise, they say themselves.
    """
    cores_each, whole = _cores_each(scale), Part(Kind.WHOLE, budget)
    reading = Reading(measure_apart(asked, Part(Kind.COLD if cold else Kind.LADDER, budget)))
    knob = best_knob(reading)
    tried = _tried(asked, knob, whole) if attempt and knob and not knob.writes else None
    scaled = _scaled(asked, sorted(set(scale)), cores_each, whole)
    fit = fit_scaling([one.processes for one in scaled], [one.epoch_seconds for one in scaled])
    return Examination(reading, knob, tried, cores_each, scaled, fit, min_ratio)


def _cores_each(scale: Sequence[int]) -> int:
    """Cores of each process; 0 where no scale is asked for."""
    if not scale:
        return 0
    cores = usable_cores()
    if max(scale) > cores:
        raise UsageError(
            f"--scale: {max(scale)} processes, and this one may use {cores} cores: each needs one of its own, or the "
            f"figures would be those of their quarrel. Give at most {cores}"
        )
    return cores // max(scale)


def _tried(asked: Asked, knob: Knob, part: Part) -> Tried:
    """The job without and with a knob."""
    changed = replace(asked, settings=(*asked.settings, knob.setting))
    before, after = (Reading(measure_apart(one, part)).real for one in (asked, changed))
    return Tried(knob, before, after)


def _scaled(asked: Asked, scale: Sequence[int], cores_each: int, part: Part) -> tuple[Scaled, ...]:
    """The job on each number of processes, each process with as many cores."""
    settings = (*asked.settings, f"runtime.threads={cores_each}")
    found: list[Scaled] = []
    for processes in scale:
        one = replace(asked, processes=processes, settings=settings)
        reading = Reading(measure_apart(one, part, processes * cores_each))
        each = reading.real / processes
        first = found[0].rate / found[0].processes if found else each
        found.append(Scaled(processes, reading.real, reading.measured.job.samples / reading.real, each / first))
    return tuple(found)
