"""Sums kept on the device while training or evaluating, so that the loop never asks for a number."""

import torch
from torch import Tensor

from headrace.shards.errors import HeadraceError
from headrace.train.machine.device import Accelerator
from headrace.train.machine.world import World
from headrace.train.record.sums import NOTHING, Sums


class Tally:
    """Loss, correct and seen of this rank's samples, as one float64 tensor on the device."""

    def __init__(self, accelerator: Accelerator, start: Sums = NOTHING) -> None:
        self._sums = torch.tensor(start, dtype=torch.float64, device=accelerator.device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one micro-batch: its summed loss, and how many of its logits (b, classes) rank the label first."""
        correct = (logits.detach().argmax(1) == labels).sum()
        seen = torch.full_like(correct, len(labels))
        self._sums += torch.stack([loss.detach().double(), correct.double(), seen.double()])

    def total(self, world: World) -> Sums:
        """The sums over all ranks; reads from the device."""
        loss, correct, seen = world.sum(self._sums.clone()).tolist()
        return Sums(loss, int(correct), int(seen))


class LossRing:
    """The global batch's mean loss of each recent step, kept on the device until a logging step reads them."""

    def __init__(self, steps: int, accelerator: Accelerator, first_step: int) -> None:
        self._losses = torch.zeros(steps, dtype=torch.float64, device=accelerator.device)
        self._first = self._next = first_step

    def add(self, loss: Tensor) -> None:
        """Add one micro-batch's part of the current step's mean loss."""
        self._losses[self._next - self._first] += loss.detach()

    def end_step(self) -> None:
        """The current step is complete."""
        self._next += 1

    @property
    def full(self) -> bool:
        """Whether the ring has room for no further step."""
        return self._next - self._first == len(self._losses)

    def read(self, world: World) -> list[tuple[int, float]]:
        """(step, loss) of the steps since the last read, over all ranks; reads from the device and starts anew.

        Raises HeadraceError naming the first step whose loss is not finite, on every rank alike.
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
    """A step brought a number that is not finite. `headrace.train.run.not_finite` says the rest."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"step {step}: {what}")
        self.step = step
