"""The exponential moving average of the weights."""

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from headrace.train.model.network import Network


class WeightAverage:
    """The exponential moving average of weights and running statistics. Its half-life is given in samples."""

    def __init__(self, network: Network, half_life: int, global_batch: int) -> None:
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False)
        self._update = get_ema_multi_avg_fn(0.5 ** (global_batch / half_life))
        self._average, self._live = _floats(self.network), _floats(network)

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the weights after one step."""
        self._update(self._average, self._live, 0)


def _floats(network: nn.Module) -> list[Tensor]:
    return [value for value in network.state_dict(keep_vars=True).values() if value.is_floating_point()]
