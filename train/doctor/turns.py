"""Turns: each rung runs for a while, one after another, round after round, so that what changes meets all alike."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from headrace.train.doctor.measured import Rung, Timed
from headrace.train.doctor.shape import units_of
from headrace.train.machine.place import Place

_LONG_ENOUGH = 0.3  # seconds from which the time of a unit is known well enough to count units of a turn
_GROWTH = 4  # of the number of units that are tried
_FREE = 10  # units at the most that go before a turn and do not count: kernels and caches are cold


class Runner(Protocol):
    """What a rung runs. A unit is what it hands out at a time: a group, or a step."""

    rung: Rung
    multiple: int
    """Units of a turn are a multiple of this: results of threads that work side by side come in bunches."""

    @property
    def waited(self) -> float:
        """Seconds that its step has waited for data so far."""

    def begin(self) -> None:
        """Come from standing still into the state that lasts."""

    def take(self, units: int) -> int:
        """Run so many units; the images of this rank in them."""

    def rest(self) -> None:
        """Stand still."""

    def close(self) -> None:
        """End its threads."""


class Turn(NamedTuple):
    """Whose turn it is, and for about how long."""

    runner: Runner
    seconds: float


class Window(NamedTuple):
    """One turn of one rung on one rank."""

    images: int
    seconds: float
    cpu_seconds: float
    waited: float

    @property
    def stall(self) -> float:
        """Fraction of the time that the step waited."""
        return self.waited / self.seconds


def calibrate(runner: Runner, place: Place) -> float:
    """Seconds of a unit, the same on every rank: that of rank 0. What happens at first use only is over afterwards."""
    run_turn(runner, place, runner.multiple)
    units = runner.multiple
    while (window := run_turn(runner, place, units))[0] < _LONG_ENOUGH:
        units *= _GROWTH
    return window[0] / units


def run_turn(runner: Runner, place: Place, units: int) -> tuple[float, Window]:
    """One turn of so many units: seconds of rank 0, and this rank's window. All ranks begin together."""
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
    """The windows of these turns, a row a round, on this rank. `between` is called before each round."""
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
    """A rung's turns, over all ranks; None but on rank 0. Rates of ranks add up, waiting is their mean."""
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
