"""Running statistics of batch normalisation that do not depend on the number of processes.

All groups of a step, on whatever ranks they run, must together change the statistics as one batch does. With the
momentum p, this means new = (1 - p) old + p mean(groups). A rank that runs n of the groups one after another uses the
momentum m = p / n for each. Before each group, the rank scales the statistics: the first group then keeps 1 - p of the
old statistics, and later groups keep all of them. The momentum of a layer is therefore constant, which suits a compiled
network. The new statistics are linear in the statistics of the groups, so their mean over ranks, weighted by the number
of groups, equals the statistics of a single process. Ranks need to compute this mean only before the statistics are
used.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headrace.train.machine.world import World


def micro_scales(momentum: float, count: int) -> tuple[float, list[float]]:
    """Return the momentum for each of `count` micro-batches of a step, and a list with one factor for each.

    Before a micro-batch, the running statistics are multiplied by its factor. All micro-batches together then change
    the running statistics as one batch with `momentum` does.
    """
    part = momentum / count
    if count == 1:
        return part, [1.0]
    return part, [(1 - momentum) / (1 - part)] + [1 / (1 - part)] * (count - 1)


class RunningStatistics:
    """Scales the network's batch-norm statistics before each micro-batch, and averages them over ranks.

    If the run keeps a moving average of the network, the statistics in that average are averaged over ranks too.
    `micro_batches` is the number of this rank's micro-batches in a step; `weight` is that number divided by the number
    on all ranks.
    """

    def __init__(
        self,
        network: nn.Module,
        average: nn.Module | None,
        momentum: float,
        micro_batches: int,
        weight: float,
    ) -> None:
        self._weight = weight
        self._trained, self._averaged = _statistics(network), [] if average is None else _statistics(average)
        part, self._scales = micro_scales(momentum, micro_batches)
        for layer in _layers(network):
            layer.momentum = part

    @torch.no_grad()
    def before(self, turn: int) -> None:
        """Scale the statistics before the pass of micro-batch `turn`, counted from 0 in each step."""
        if self._trained and self._scales[turn] != 1:
            torch._foreach_mul_(self._trained, self._scales[turn])

    @torch.no_grad()
    def average(self, world: World) -> None:
        """Replace the statistics by their weighted mean over ranks, in one reduction."""
        buffers = [*self._trained, *self._averaged]
        if world.size == 1 or not buffers:
            return
        flat = world.sum(torch.cat(buffers) * self._weight)
        for buffer, mean in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
            buffer.copy_(mean)


def _statistics(network: nn.Module) -> list[Tensor]:
    return [b for layer in _layers(network) for b in (layer.running_mean, layer.running_var) if b is not None]


def _layers(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]
