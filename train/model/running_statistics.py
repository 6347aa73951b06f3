"""Running statistics of batch normalisation that do not depend on the number of processes.

One step sees G groups, wherever they run, and should move the statistics once: new = (1 - p) old + p mean(groups).
A rank that runs a of them one after another uses the momentum m = p / a for each. It scales the statistics before each
group, so that the first group keeps 1 - p of the old ones and the others keep everything. So the momentum of a layer is
a constant, which suits a compiled network. The statistics are linear in the groups, so their mean over ranks, weighted
by the number of groups, equals those of one process; it can be computed as rarely as desired.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headrace.train.machine.world import World


def micro_scales(momentum: float, count: int) -> tuple[float, list[float]]:
    """The momentum of each of `count` micro-batches, and the factor that scales the statistics before each of them."""
    part = momentum / count
    if count == 1:
        return part, [1.0]
    return part, [(1 - momentum) / (1 - part)] + [1 / (1 - part)] * (count - 1)


class RunningStatistics:
    """The batch-norm layers of the trained network, and of its moving average if there is one.

    `micro_batches` is this rank's number in a step, `weight` their share of those of all ranks.
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
        """Prepare the statistics for micro-batch `turn` (from 0) of the step."""
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
