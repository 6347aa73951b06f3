"""Sums losses and counts on the device during training or evaluation; the host waits only when the sums are read."""

import torch
from torch import Tensor

from headrace.shards.errors import HeadraceError
from headrace.train.machine.device import Accelerator
from headrace.train.machine.world import World
from headrace.train.record.sums import NOTHING, Sums


class Tally:
    """The sums of losses, correct predictions and samples on this rank, as one float64 tensor on the device."""

    def __init__(self, accelerator: Accelerator, start: Sums = NOTHING) -> None:
        self._sums = torch.tensor(start, dtype=torch.float64, device=accelerator.device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one micro-batch: the sum of its losses, the number of samples, and the number of correct predictions.

        A prediction is correct if the label has the largest of the sample's logits; `logits` is (b, classes).
        """
        correct = (logits.detach().argmax(1) == labels).sum()
        seen = torch.full_like(correct, len(labels))
        self._sums += torch.stack([loss.detach().double(), correct.double(), seen.double()])

    def total(self, world: World) -> Sums:
        """Return the sums over all ranks. This waits for the device."""
        loss, correct, seen = world.sum(self._sums.clone()).tolist()
        return Sums(loss, int(correct), int(seen))


class LossRing:
    """The mean loss over the global batch in each of the last steps, kept on the device until it is read."""

    def __init__(self, steps: int, accelerator: Accelerator, first_step: int) -> None:
        self._losses = torch.zeros(steps, dtype=torch.float64, device=accelerator.device)
        self._first = self._next = first_step

    def add(self, loss: Tensor) -> None:
        """Add the part of the current step's mean loss that comes from one micro-batch."""
        self._losses[self._next - self._first] += loss.detach()

    def end_step(self) -> None:
        """Mark the current step as complete."""
        self._next += 1

    @property
    def full(self) -> bool:
        """Whether the ring has no room for another step."""
        return self._next - self._first == len(self._losses)

    def read(self, world: World) -> list[tuple[int, float]]:
        """Return pairs (step, loss over all ranks) for the steps since the last read. This waits for the device.

        Raises NotFiniteError on every rank if a loss is not finite; the error names the first step with such a loss.
        """
        losses = world.sum(self._losses.clone()).tolist()[: self._next - self._first]
        steps = list(enumerate(losses, self._first))
        self._first = self._next
        self._losses.zero_()
        for step, loss in steps:
            if not abs(loss) < float("inf"):
                raise NotFiniteError(step, f"the loss is {loss}")
        return steps


class NotFiniteError(HeadraceError):
    """Raised if a step computed a number that is not finite.

    `headrace.train.run.not_finite` adds advice to the message.
    """

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"step {step}: {what}")
        self.step = step
