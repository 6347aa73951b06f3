"""Runs the parts of a job that the doctor times (its rungs): parts of the input, the step, and the whole job."""

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
_DEPTH = 3  # batches that the feed of a run makes ahead
_WAITED = 0.001  # seconds: an item that takes longer was not ready
_STALLED = 0.02  # fraction of a turn: with a smaller stall batches were ready


class PartRunner:
    """Runs a part of the input alone, such as decoding. One unit of its work is a group of samples."""

    waited = 0.0

    def __init__(self, rung: Rung, taken: Taken[Plan], plans: Iterator[Plan], lanes: int) -> None:
        self.rung, self.multiple = rung, lanes
        self._taken, self._run = taken, taken.run(plans)

    def begin(self) -> None:
        """Discard the groups that were finished during the pause."""
        discard(lambda: next(self._run), self.multiple + 1)

    def take(self, units: int) -> int:
        """Take `units` groups, one after another; return the number of their images."""
        return sum(len(next(self._run).ids) for _ in range(units))

    def rest(self) -> None:
        """Do nothing, because the threads pause by themselves when no group is requested."""

    def close(self) -> None:
        """End the threads of this part of the input."""
        self._taken.close()


class FeedRunner:
    """Runs the whole input, which makes batches for the step. One unit of its work is a group of samples."""

    waited = 0.0

    def __init__(self, rung: Rung, made: Input, plans: Iterator[Plan], lanes: int) -> None:
        self.rung, self.multiple = rung, lanes
        self._made, self._valve = made, Valve(plans)
        self.feed = made.feed(self._valve, _DEPTH)
        self._most_ready = _DEPTH + 2 + lanes

    def go_on(self) -> None:
        """Let the input pipeline continue."""
        self._valve.open()

    def begin(self) -> None:
        """Let the input pipeline continue, and discard the batches that are ready."""
        self.go_on()
        discard(lambda: next(self.feed), self._most_ready)

    def take(self, units: int) -> int:
        """Take the batches of `units` groups, one after another; return the number of their images."""
        return sum(len(next(self.feed).labels) for _ in range(units))

    def rest(self) -> None:
        """Hold back further plans; the threads of the input finish the batches that they have begun."""
        self._valve.shut()

    def close(self) -> None:
        """End the threads of the input."""
        self._valve.end()
        self.feed.close()
        self._made.close()


class StepRunner:
    """Runs the step on one batch that stays on the device. One unit of its work is a step."""

    multiple, waited = 1, 0.0

    def __init__(self, rung: Rung, step: TrainStep, resident: Batch, around: Around = nullcontext) -> None:
        self.rung = rung
        self._step, self._resident, self._around = step, resident, around

    def begin(self) -> None:
        """Do nothing, because no batch was made in advance."""

    def take(self, units: int) -> int:
        """Run `units` steps, one after another; return the number of their images."""
        with self._around():
            train(self._step, repeat(self._resident), units)
        return units * images_a_step(self._step, self._resident)

    def rest(self) -> None:
        """Do nothing, because no thread keeps running between turns."""

    def close(self) -> None:
        """Do nothing, because this runner has no threads."""


class WholeRunner:
    """Runs the step on real batches. One unit of its work is a step.

    A turn normally begins with the batches that are ready, as if training had not paused between turns. If the step had
    to wait for batches in the previous turn, the batches made during the pause are discarded first.
    """

    def __init__(self, rung: Rung, step: TrainStep, resident: Batch, batches: FeedRunner) -> None:
        self.rung = rung
        groups, lanes = step.micro_batches, batches.multiple
        self.multiple = next(count for count in range(1, lanes + 1) if count * groups % lanes == 0)
        self._step, self._input, self._images = step, batches, images_a_step(step, resident)
        self._stalls = True

    def distrust(self) -> None:
        """Discard all ready batches when the next turn begins, for example because their files were still in memory."""
        self._stalls = True

    @property
    def waited(self) -> float:
        """The seconds that the step has waited for data so far."""
        return self._input.feed.stalled

    def begin(self) -> None:
        """Let the input continue; discard ready batches if the step had to wait for batches in the previous turn."""
        if self._stalls:
            self._input.begin()
        else:
            self._input.go_on()

    def take(self, units: int) -> int:
        """Run `units` steps, one after another; return the number of their images."""
        waited, began = self.waited, time.perf_counter()
        train(self._step, self._input.feed, units)
        self._stalls = self.waited - waited > _STALLED * (time.perf_counter() - began)
        return units * self._images

    def rest(self) -> None:
        """Pause the input."""
        self._input.rest()

    def close(self) -> None:
        """End the threads of the input."""
        self._input.close()


def images_a_step(step: TrainStep, resident: Batch) -> int:
    """Return the number of images of this rank in a step."""
    return step.micro_batches * len(resident.labels)


def train(step: TrainStep, batches: Iterator[Batch], steps: int) -> None:
    """Make `steps` updates, each with the learning rate of a run's first update. Does not wait for the device."""
    tally, losses = Tally(step.accelerator), LossRing(steps, step.accelerator, 0)
    for _ in range(steps):
        step(0, batches, tally, losses)


def discard(take_next: Callable[[], object], most: int) -> None:
    """Discard at most `most` items; stop after the first item that takes over 1 ms and so was not ready."""
    for _ in range(most):
        began = time.perf_counter()
        take_next()
        if time.perf_counter() - began > _WAITED:
            return
