"""Stochastic depth keyed by (seed, epoch, sample id): a sample's mask is the same in any group and on any rank."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headrace.shards.draws import Stream, uniforms
from headrace.train.machine.device import Accelerator


class StochasticDepth:
    """Draws the scale of each residual branch for each sample (Huang et al., arXiv:1603.09382).

    `rates` holds the probability that a block is skipped, shape (blocks,).
    """

    def __init__(self, rates: Sequence[float], seed: int, accelerator: Accelerator) -> None:
        self._rates, self._seed, self._accelerator = np.array(rates), seed, accelerator

    def __call__(self, epochs: NDArray[np.int64], ids: NDArray[np.int64]) -> Tensor | None:
        """Return the scales of samples, float32 (n, blocks) on the device, or None if no block is ever skipped."""
        if not self._rates.any():
            return None
        return self._accelerator.upload(keep_scales(self._rates, self._seed, epochs, ids))


def keep_scales(
    rates: NDArray[np.float64], seed: int, epochs: NDArray[np.int64], ids: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the scales of residual branches, float32 (n, blocks), for samples `ids` (n,) in their `epochs` (n,).

    0 means that the sample skips the block; otherwise the scale is 1 / (1 - rate).
    """
    drop = uniforms(seed, Stream.DEPTH, epochs, ids, count=len(rates)) < rates
    return np.where(drop, 0.0, 1.0 / (1.0 - rates)).astype(np.float32)
