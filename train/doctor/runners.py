"""What each rung runs: parts of the input, the step, and the whole."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat

from headrace.train.doctor.measured import Rung
from headrace.train.doctor.valve import Valve
from headrace.train.input.assembly import Input
from headrace.train.input.batch import Batch
from headrace.train.input.decode.parts import Taken
from headrace.train.input.plans import Plan
from headrace.train.step.tally import LossRing, Tally
from headrace.train.step.update import TrainStep

Around = Callable[[], AbstractContextManager[object]]
_DEPTH = 3  # batches that a run's feed makes ahead
_WAITED = 0.001  # seconds: what takes longer was not lying ready
_STALLED = 0.02  # fraction of a turn: below that batches lie ready


class PartRunner:
    """A part of the input alone. A unit is a group."""

    waited = 0.0

    def __init__(self, rung: Rung, taken: Taken[Plan], plans: Iterator[Plan], lanes: int) -> None:
        self.rung, self.multiple = rung, lanes
        self._taken, self._run = taken, taken.run(plans)

    def begin(self) -> None:
        """Pass over what was finished while it stood still."""
        discard(lambda: next(self._run), self.multiple + 1)

    def take(self, units: int) -> int:
        """Groups, one after another."""
        return sum(len(next(self._run).ids) for _ in range(units))

    def rest(self) -> None:
        """It stands still while nobody asks."""

    def close(self) -> None:
        """End its threads."""
        self._taken.close()


class FeedRunner:
    """The whole input, up to batches in the hands of the step. A unit is a group."""

    waited = 0.0

    def __init__(self, rung: Rung, made: Input, plans: Iterator[Plan], lanes: int) -> None:
        self.rung, self.multiple = rung, lanes
        self._made, self._valve = made, Valve(plans)
        self.feed = made.feed(self._valve, _DEPTH)
        self._most_ready = _DEPTH + 2 + lanes

    def go_on(self) -> None:
        """Let the feed run again."""
        self._valve.open()

    def begin(self) -> None:
        """Let it run, and pass over what lies ready."""
        self.go_on()
        discard(lambda: next(self.feed), self._most_ready)

    def take(self, units: int) -> int:
        """Groups, one after another."""
        return sum(len(next(self.feed).labels) for _ in range(units))

    def rest(self) -> None:
        """Hold the next plan back; what is begun is finished."""
        self._valve.shut()

    def close(self) -> None:
        """End its threads."""
        self._valve.end()
        self.feed.close()
        self._made.close()


class StepRunner:
    """The step on a batch that is there. A unit is a step."""

    multiple, waited = 1, 0.0

    def __init__(self, rung: Rung, step: TrainStep, resident: Batch, around: Around = nullcontext) -> None:
        self.rung = rung
        self._step, self._resident, self._around = step, resident, around

    def begin(self) -> None:
        """Nothing is ahead."""

    def take(self, units: int) -> int:
        """Steps, one after another."""
        with self._around():
            train(self._step, repeat(self._resident), units)
        return units * images_a_step(self._step, self._resident)

    def rest(self) -> None:
        """Nothing runs on."""

    def close(self) -> None:
        """It has no threads of its own."""


class WholeRunner:
    """The step on real batches. A unit is a step.

    Each turn goes on where the last one was: if the step had to wait then, what was made while it stood still is passed
    over; if batches lay ready, they lie ready now.
    """

    def __init__(self, rung: Rung, step: TrainStep, resident: Batch, batches: FeedRunner) -> None:
        self.rung = rung
        groups, lanes = step.micro_batches, batches.multiple
        self.multiple = next(count for count in range(1, lanes + 1) if count * groups % lanes == 0)
        self._step, self._input, self._images = step, batches, images_a_step(step, resident)
        self._stalls = True

    def distrust(self) -> None:
        """Pass over all that lies ready when the next turn begins: it was made under other conditions."""
        self._stalls = True

    @property
    def waited(self) -> float:
        """Seconds that the step has waited for data so far."""
        return self._input.feed.stalled

    def begin(self) -> None:
        """Go on."""
        if self._stalls:
            self._input.begin()
        else:
            self._input.go_on()

    def take(self, units: int) -> int:
        """Steps, one after another."""
        waited, began = self.waited, time.perf_counter()
        train(self._step, self._input.feed, units)
        self._stalls = self.waited - waited > _STALLED * (time.perf_counter() - began)
        return units * self._images

    def rest(self) -> None:
        """Hold the input back."""
        self._input.rest()

    def close(self) -> None:
        """End the threads of the input."""
        self._input.close()


def images_a_step(step: TrainStep, resident: Batch) -> int:
    """Images of this rank in a step."""
    return step.micro_batches * len(resident.labels)


def train(step: TrainStep, batches: Iterator[Batch], steps: int) -> None:
    """Take so many updates, each with the rate of the first one of a run. Asks the device nothing."""
    tally, losses = Tally(step.accelerator), LossRing(steps, step.accelerator, 0)
    for _ in range(steps):
        step(0, batches, tally, losses)


def discard(take_next: Callable[[], object], most: int) -> None:
    """Take what lies ready, and drop it: all up to the first that is waited for, and at the most so many."""
    for _ in range(most):
        began = time.perf_counter()
        take_next()
        if time.perf_counter() - began > _WAITED:
            return
