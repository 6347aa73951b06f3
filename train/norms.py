"""Running statistics of batch normalisation that do not depend on the number of processes.

One step sees G groups, wherever they run, and should move the statistics once: new = (1 - p) old + p mean(groups).
A rank that runs a of them one after another gets there when micro-batch j = 1..a uses the momentum
(p / a) / (1 - (a - j) p / a). The statistics are then linear in the groups, so the mean over ranks, weighted by
their groups, equals what one process would hold; it may be taken as rarely as one likes.
"""

import torch
from torch import nn

from train.world import World


def micro_momenta(momentum: float, count: int) -> list[float]:
    """The momentum of each of `count` consecutive micro-batches, so that together they decay by 1 - momentum."""
    part = momentum / count
    # At momentum 1 the first one is 1, which rounding would exceed: the old statistics would count negatively.
    return [min(1.0, part / (1 - (count - turn) * part)) for turn in range(1, count + 1)]


class RunningStatistics:
    """The batch-norm layers of the trained network, and of its average where one is kept.

    `micro_batches` are this rank's in a step, `weight` is their share of all ranks' together.
    """

    def __init__(
        self,
        network: nn.Module,
        average: nn.Module | None,
        momentum: float,
        micro_batches: int,
        weight: float,
    ) -> None:
        self._layers, self._weight = _layers(network), weight
        self._averaged = [] if average is None else _layers(average)
        self._momenta = micro_momenta(momentum, micro_batches)
        self.before(0)

    def before(self, turn: int) -> None:
        """Set the momentum for micro-batch `turn` (from 0) of the step."""
        for layer in self._layers:
            layer.momentum = self._momenta[turn]

    @torch.no_grad()
    def average(self, world: World) -> None:
        """Replace the statistics by their weighted mean over ranks, in one reduction."""
        layers = [*self._layers, *self._averaged]
        buffers = [b for layer in layers for b in (layer.running_mean, layer.running_var) if b is not None]
        if world.size == 1 or not buffers:
            return
        flat = world.sum(torch.cat(buffers) * self._weight)
        for buffer, mean in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
            buffer.copy_(mean)


def _layers(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
