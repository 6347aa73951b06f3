import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from headrace.train.machine.world import World
from headrace.train.model.running_statistics import RunningStatistics, micro_scales

momenta = st.floats(0.001, 1.0)


@given(momentum=momenta, count=st.integers(1, 64))
def test_any_split_decays_as_one_step(momentum: float, count: int) -> None:
    """For any number of micro-batches, the old statistics get weight 1 - p and each new one p / count."""
    part, scales = micro_scales(momentum, count)
    factors = [(1 - part) * scale for scale in scales]
    weights = [part * math.prod(factors[turn + 1 :]) for turn in range(count)]
    assert math.prod(factors) == pytest.approx(1 - momentum, abs=1e-12)
    assert weights == pytest.approx([momentum / count] * count, rel=1e-9)
    assert 0 < part <= 1


@given(
    momentum=momenta,
    groups=st.lists(st.floats(-5, 5), min_size=1, max_size=12),
    cuts=st.sets(st.integers(1, 11)),
    steps=st.integers(1, 4),
)
def test_weighted_mean_over_ranks_is_one_process(
    momentum: float, groups: list[float], cuts: set[int], steps: int
) -> None:
    """The weighted mean over ranks with any shares of the groups equals the statistics of one process."""
    places = sorted({0, len(groups)} | {cut for cut in cuts if cut < len(groups)})
    shares = [groups[first:last] for first, last in pairwise(places)]
    ends = []
    for share in [groups, *shares]:
        statistic = 0.7
        for _ in range(steps):
            part, scales = micro_scales(momentum, len(share))
            for value, scale in zip(share, scales, strict=True):
                statistic = (1 - part) * (scale * statistic) + part * value
        ends.append(statistic)
    alone, *ranks = ends
    together = sum(len(share) / len(groups) * end for share, end in zip(shares, ranks, strict=True))
    assert together == pytest.approx(alone, rel=1e-9, abs=1e-9)


def network() -> nn.Sequential:
    """Return two norms in float64."""
    return nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).double()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_layers_take_the_mean_over_micro_batches(count: int) -> None:
    """Over `count` micro-batches, real layers move by p times the mean of the micro-batches' statistics."""
    model = network().train()
    statistics = RunningStatistics(model, None, 0.3, count, 1.0)
    batches = torch.randn(count, 6, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for turn in range(count):
        statistics.before(turn)
        model(batches[turn])
    norm = model[0]
    assert isinstance(norm, nn.BatchNorm2d)
    means, variances = batches.mean((1, 3, 4)).mean(0), batches.var((1, 3, 4)).mean(0)
    torch.testing.assert_close(norm.running_mean, 0.3 * means, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norm.running_var, 0.7 + 0.3 * variances, rtol=1e-12, atol=1e-12)


def test_one_process_has_nothing_to_average() -> None:
    """With one process, averaging changes no bit."""
    model = network().train()
    statistics = RunningStatistics(model, None, 0.1, 1, 1.0)
    model(torch.randn(4, 3, 2, 2, dtype=torch.float64))
    before = [buffer.clone() for buffer in model.buffers()]
    statistics.average(World())
    assert all(torch.equal(one, other) for one, other in zip(before, model.buffers(), strict=True))


class TwoRanks(World):
    """A world of two ranks in which the other rank has twice this rank's numbers."""

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum over both ranks: the other rank's weight is 1/4, this rank's 3/4."""
        return tensor + tensor / 3 * 2


def test_average_covers_the_averaged_network_too() -> None:
    """The statistics of the trained network and of its average become the weighted mean in one reduction."""
    model, averaged = network(), network()
    for norm in (model[0], averaged[2]):
        norm.running_mean.fill_(8.0)  # type: ignore[operator]
    RunningStatistics(model, averaged, 0.1, 3, 3 / 4).average(TwoRanks(size=2))
    for norm in (model[0], averaged[2]):
        assert norm.running_mean.tolist() == pytest.approx([3 / 4 * 8 + 1 / 4 * 16] * norm.num_features)  # type: ignore[operator]


def test_statistics_of_vectors_follow_the_rule() -> None:
    """Batch normalisation of vectors is found too, not only that of images."""
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)).double()
    statistics = RunningStatistics(model, None, 0.3, 2, 1.0)
    groups = [torch.randn(16, 3, dtype=torch.float64) for _ in range(2)]
    for turn, group in enumerate(groups):
        statistics.before(turn)
        model(group)
    mean = torch.stack([group.mean(0) for group in groups]).mean(0)
    torch.testing.assert_close(model.state_dict()["0.running_mean"], 0.3 * mean, rtol=0, atol=1e-12)
