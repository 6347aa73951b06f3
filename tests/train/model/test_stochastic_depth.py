"""Stochastic depth: masks depend only on the sample, and blocks are dropped at their rates."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.train.machine.device import Accelerator
from headrace.train.model.stochastic_depth import StochasticDepth, keep_scales

seeds = st.integers(0, 2**63 - 1)


@given(seed=seeds, ids=st.lists(st.integers(0, 10**9), min_size=1, max_size=20), epoch=st.integers(0, 1000))
def test_depth_masks_belong_to_the_sample(seed: int, ids: list[int], epoch: int) -> None:
    """A sample has the same mask alone and in a batch; blocks that are never dropped have the scale 1."""
    rates = np.array([0.0, 0.1, 0.5])
    epochs, samples = np.full(len(ids), epoch), np.array(ids)
    together = keep_scales(rates, seed, epochs, samples)
    alone = [keep_scales(rates, seed, epochs[:1], samples[row : row + 1])[0].tolist() for row in range(len(ids))]
    assert together.tolist() == alone
    assert (together[:, 0] == 1).all()
    assert set(together[:, 2].tolist()) <= {0.0, 2.0}


def test_depth_masks_drop_at_their_rates() -> None:
    """Blocks are dropped independently at their own rates, and the expected scale is 1."""
    rates, count = np.array([0.0, 0.1, 0.3]), 40_000
    scales = keep_scales(rates, 7, np.zeros(count, np.int64), np.arange(count))
    error = 5 * np.sqrt(rates * (1 - rates) / count)
    assert (np.abs((scales == 0).mean(0) - rates) <= error).all()
    assert np.abs(scales.mean(0) - 1).max() < 0.02
    assert abs(np.corrcoef(scales[:, 1], scales[:, 2])[0, 1]) < 5 / math.sqrt(count)


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    """If all rates are zero there is no mask, so the network does not multiply by ones."""
    ids = np.arange(4)
    assert StochasticDepth([0.0, 0.0], 1, Accelerator(None))(ids, ids) is None
    scales = StochasticDepth([0.0, 0.5], 1, Accelerator(None))(ids, ids)
    assert scales is not None
    assert scales.shape == (4, 2)
