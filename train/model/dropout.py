"""Dropout before the classifier, keyed by (seed, step, group): the mask of a group is the same on every rank."""

import torch
from torch import Tensor

from headrace.shards.draws import Stream, seed64
from headrace.train.machine.device import Accelerator


class HeadDropout:
    """Draws the mask (b, features) of one group: 0 with probability `rate`, else 1 / (1 - rate)."""

    def __init__(self, rate: float, features: int, seed: int, accelerator: Accelerator) -> None:
        self._keep, self._features, self._seed = 1 - rate, features, seed
        self._device = accelerator.device
        self._generator = torch.Generator(accelerator.device)

    def __call__(self, step: int, group: int, samples: int) -> Tensor | None:
        """Return the mask for `samples` samples, or None if nothing is dropped."""
        if self._keep == 1:
            return None
        self._generator.manual_seed(seed64(self._seed, Stream.DROPOUT, step, group))
        mask = torch.empty(samples, self._features, device=self._device)
        return mask.bernoulli_(self._keep, generator=self._generator).div_(self._keep)
