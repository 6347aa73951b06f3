"""Noise (dropout and skipped blocks) as masks, which are drawn outside the network and passed to it with the images."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headrace.train.model.dropout import HeadDropout
from headrace.train.model.stochastic_depth import StochasticDepth


class KeyedMasks:
    """Draws stochastic depth keyed by (seed, epoch, sample id), and classifier dropout keyed by (seed, step, group)."""

    def __init__(self, depth: StochasticDepth, dropout: HeadDropout) -> None:
        self._depth, self._dropout = depth, dropout

    @contextmanager
    def around(
        self, step: int, group: int, epochs: NDArray[np.int64], ids: NDArray[np.int64]
    ) -> Iterator[tuple[Tensor | None, ...]]:
        """Yield the scales of residual branches, (b, blocks), and the dropout mask, (b, features).

        The scales are None if no block is ever skipped, and the mask is None if no feature is dropped.
        """
        yield self._depth(epochs, ids), self._dropout(step, group, len(ids))
