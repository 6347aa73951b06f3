"""Makes one optimizer update: passes over this rank's micro-batches, reduction of gradients over ranks, new weights."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from headrace.train.input.batch import Batch
from headrace.train.input.mixed import mix_images
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator
from headrace.train.machine.numerics import Numerics, Scaler
from headrace.train.machine.profile import Part, marked
from headrace.train.machine.world import World
from headrace.train.model.network import Network, Noise
from headrace.train.model.running_statistics import RunningStatistics
from headrace.train.step.average import WeightAverage
from headrace.train.step.compiled import Compilable
from headrace.train.step.loss import heavier_labels, mixed_loss
from headrace.train.step.optimizer import set_rate
from headrace.train.step.schedule import Schedule
from headrace.train.step.tally import LossRing, Tally


@dataclass
class TrainStep:
    """Updates the weights, one step at a time.

    `compilable` contains `network`. `model` is `compilable`, wrapped so that gradients are averaged over ranks.
    """

    network: Network
    compilable: Compilable
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: Scaler
    schedule: Schedule
    normalise: Normalise
    noise: Noise
    statistics: RunningStatistics
    average: WeightAverage | None
    accelerator: Accelerator
    numerics: Numerics
    world: World
    micro_batches: int
    global_batch: int
    label_smoothing: float
    bucket_mib: int | None = None  # size of the messages in which gradients are exchanged
    thaws_at: int = 0  # the step until which only the classifier is trained
    frozen: bool = False  # whether only the classifier is trained now

    def __call__(self, step: int, batches: Iterator[Batch], tally: Tally, losses: LossRing) -> None:
        """Take this rank's micro-batches of `step` from `batches`, and update the weights.

        The loss goes to `tally` and `losses`. The host does not wait for the device.
        """
        set_rate(self.optimizer, self.schedule.rate(step))
        for turn, batch in enumerate(islice(batches, self.micro_batches)):
            if not self.frozen:
                self.statistics.before(turn)
            with self.world.accumulating(self.model, last=turn == self.micro_batches - 1):
                with marked(Part.FORWARD):
                    loss, logits = self._forward(batch, step)
                with marked(Part.BACKWARD):
                    self._backward(loss)
            tally.add(loss, logits, heavier_labels(batch.labels, batch.partner, batch.plan.mix))
            losses.add(loss / self.global_batch)
        with marked(Part.UPDATE):
            self._update()
        losses.end_step()

    def _forward(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses of the micro-batch's samples, and the logits."""
        plan, mix, images = batch.plan, batch.plan.mix, batch.images
        if mix is not None or not self.compilable.takes_pixels:
            images = self.normalise(images)
            mix_images(images, batch.partner, mix)
        with self._noise(step, plan) as noise, self.numerics.autocast():
            logits = self.model(images, *noise)
            loss = mixed_loss(logits, batch.labels, batch.partner, mix, self.label_smoothing)
        return loss, logits

    def _noise(self, step: int, plan: Plan) -> AbstractContextManager[tuple[Tensor | None, ...]]:
        if self.frozen:
            return nullcontext(())
        return self.noise.around(step, plan.group, plan.epochs, plan.ids)

    def _backward(self, loss: Tensor) -> None:
        """Compute gradients of the mean loss over the global batch.

        DDP divides gradients by the number of ranks, so the loss is multiplied by that number.
        """
        self.scaler.scale(loss * (self.world.size / self.global_batch)).backward()

    def _update(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._clear_gradients()
        if self.average is not None:
            self.average.update()

    def _clear_gradients(self) -> None:
        self.optimizer.zero_grad(set_to_none=not self.compilable.keeps_gradients)

    def share_statistics(self) -> None:
        """Average the running statistics over all ranks, in the network and in its moving average.

        Frozen statistics are not averaged: they are equal on all ranks, and computing their mean could only add
        rounding errors.
        """
        if not self.frozen:
            self.statistics.average(self.world)

    def warm_up(self, resident: Batch, passes: int = 2, *, together: bool = True) -> None:
        """Run `passes` passes on the batch `resident`, which leave weights and statistics unchanged.

        After the first backward pass, DDP rebuilds its buckets (the parts in which gradients are exchanged) and sums in
        another order from then on. After these passes a resumed run therefore sums in the same order as an
        uninterrupted run. The passes also choose or compile kernels before the run's time is counted. If not
        `together`, ranks exchange nothing, so a failure on one rank leaves no other rank waiting.
        """
        before = [buffer.clone() for buffer in self.network.buffers()]
        try:
            for _ in range(passes):
                with self.world.accumulating(self.model, last=together):
                    loss, _ = self._forward(resident, 0)
                    self._backward(loss)
        finally:
            self._clear_gradients()
            for buffer, value in zip(self.network.buffers(), before, strict=True):
                buffer.copy_(value)
