import math

import pytest
import torch

from headrace.train.machine.world import World
from headrace.train.record.sums import Sums
from headrace.train.step.tally import LossRing, NotFiniteError, Tally
from tests.train.pictures import CPU

ALONE = World()


def test_sums_count_loss_correct_and_seen() -> None:
    """The sums of micro-batches add up, and a label with the largest logit counts as correct."""
    tally = Tally(CPU)
    logits = torch.tensor([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.0, 0.2, 0.3]])
    tally.add(torch.tensor(1.5), logits, torch.tensor([1, 1, 2]))
    tally.add(torch.tensor(2.0), logits[:1], torch.tensor([0]))
    sums = tally.total(ALONE)
    assert sums == Sums(3.5, 2, 4)
    assert (sums.mean_loss, sums.accuracy) == (0.875, 50.0)
    assert tally.total(ALONE) == sums


def test_sums_go_on_from_an_interrupted_epoch() -> None:
    """A tally that starts with earlier sums gives the same total as a tally over all batches."""
    logits, labels = torch.eye(3), torch.tensor([0, 1, 0])
    tally = Tally(CPU, Sums(2.0, 5, 9))
    tally.add(torch.tensor(1.0), logits, labels)
    assert tally.total(ALONE) == Sums(3.0, 7, 12)


def test_large_counts_stay_exact() -> None:
    """Sums are float64, so one more sample still counts after a billion."""
    tally = Tally(CPU, Sums(0.0, 10**9, 10**9))
    tally.add(torch.tensor(0.0), torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert tally.total(ALONE)[1:] == (10**9 + 1, 10**9 + 1)


def test_nothing_seen_is_not_a_number() -> None:
    """A mean over no samples is NaN, not zero."""
    assert math.isnan(Sums().mean_loss)
    assert math.isnan(Sums().accuracy)


def test_ring_gives_each_steps_loss_once() -> None:
    """Losses of micro-batches add up to the loss of their step; reading empties the ring, and numbering continues."""
    ring = LossRing(3, CPU, 10)
    for parts in ([0.25, 0.5], [1.0]):
        for part in parts:
            ring.add(torch.tensor(part))
        ring.end_step()
    assert not ring.full
    assert ring.read(ALONE) == [(10, 0.75), (11, 1.0)]
    assert ring.read(ALONE) == []
    for _ in range(3):
        ring.add(torch.tensor(2.0))
        ring.end_step()
    assert ring.full
    assert ring.read(ALONE) == [(12, 2.0), (13, 2.0), (14, 2.0)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_first_step_that_is_not_finite_is_named(bad: float) -> None:
    """The error names the first of several steps with a loss that is not finite."""
    ring = LossRing(5, CPU, 100)
    for loss in (1.0, bad, 2.0, math.nan):
        ring.add(torch.tensor(loss))
        ring.end_step()
    with pytest.raises(NotFiniteError, match="step 101") as caught:
        ring.read(ALONE)
    assert caught.value.step == 101
