"""Times the parts of a job (rungs) in turns: each round has one turn of every rung.

If the machine's speed changes during the measurement, the change then affects all rungs.

"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from headrace.train.doctor.measured import Rung, Timed
from headrace.train.doctor.shape import units_of
from headrace.train.machine.place import Place

_LONG_ENOUGH = 0.3  # seconds after which the time of a unit is known well enough to choose the units of a turn
_GROWTH = 4  # factor between numbers of units that are tried
_FREE = 10  # most units that are run before a turn without counting, because kernels and caches are cold


class Runner(Protocol):
    """Runs the work of a rung (a part of training that the doctor times). A unit of work is a group or a step."""

    rung: Rung
    multiple: int
    """The number of units that threads work on in parallel; each timed turn runs a multiple of this number."""

    @property
    def waited(self) -> float:
        """The seconds that the step has waited for data so far."""

    def begin(self) -> None:
        """End the pause, and bring the work to a steady state."""

    def take(self, units: int) -> int:
        """Run `units` units of work; return the number of images that this rank processed."""

    def rest(self) -> None:
        """Pause the work until the next turn."""

    def close(self) -> None:
        """End the threads of the runner."""


class Turn(NamedTuple):
    """A turn in a round: the runner of the rung to time, and the turn's approximate duration in seconds."""

    runner: Runner
    seconds: float


class Window(NamedTuple):
    """The measurement of one turn of one rung on one rank."""

    images: int
    seconds: float
    cpu_seconds: float
    waited: float

    @property
    def stall(self) -> float:
        """The fraction of the time in which the step waited for data."""
        return self.waited / self.seconds


def calibrate(runner: Runner, place: Place) -> float:
    """Measure the seconds per unit on rank 0, after a turn that is not timed; return these seconds on all ranks."""
    run_turn(runner, place, runner.multiple)
    units = runner.multiple
    while (window := run_turn(runner, place, units))[0] < _LONG_ENOUGH:
        units *= _GROWTH
    return window[0] / units


def run_turn(runner: Runner, place: Place, units: int) -> tuple[float, Window]:
    """Run one turn of `units` units, which all ranks begin together.

    Returns the seconds that the turn took on rank 0, and this rank's measurement of the turn.
    """
    place.world.any(flag=False)
    runner.begin()
    if units > _FREE * runner.multiple:
        runner.take(min(_FREE, units // _GROWTH))
    place.accelerator.synchronize()
    place.world.any(flag=False)
    waited, cpu, began = runner.waited, time.process_time(), time.perf_counter()
    images = runner.take(units)
    place.accelerator.synchronize()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    waited = runner.waited - waited
    runner.rest()
    return float(place.world.from_main(seconds)), Window(images, seconds, cpu, waited)


def take_turns(
    turns: Sequence[Turn], unit_seconds: Mapping[Rung, float], rounds: int, place: Place, between: Callable[[], None]
) -> list[list[Window]]:
    """Run these turns in each of `rounds` rounds; return this rank's measurements, one row for each round.

    `between` is called before each round.
    """
    rows = []
    for _ in range(rounds):
        between()
        row = []
        for runner, seconds in turns:
            units = units_of(unit_seconds[runner.rung], seconds, runner.multiple)
            row.append(run_turn(runner, place, units)[1])
        rows.append(row)
    return rows


def over_ranks(windows: Sequence[Window], place: Place) -> Timed | None:
    """Combine a rung's turns over all ranks, summing rates and averaging waits. Returns None except on rank 0."""
    told = place.world.to_main(json.dumps(windows).encode())
    if not told:
        return None
    ranks = [[Window(*values) for values in json.loads(text)] for text in told]
    turns = list(zip(*ranks, strict=True))
    return Timed(
        rates=tuple(sum(one.images / one.seconds for one in turn) for turn in turns),
        cpu=tuple(1e6 * sum(one.cpu_seconds for one in turn) / sum(one.images for one in turn) for turn in turns),
        waited=tuple(sum(one.stall for one in turn) / len(turn) for turn in turns),
    )
