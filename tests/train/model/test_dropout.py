import pytest
import torch

from headrace.train.machine.device import Accelerator
from headrace.train.model.dropout import HeadDropout

CPU = Accelerator(None)


def dropout(rate: float = 0.3, seed: int = 1) -> HeadDropout:
    """Return dropout over 64 features."""
    return HeadDropout(rate, 64, seed, CPU)


def mask(of: HeadDropout, step: int, group: int, samples: int = 8) -> torch.Tensor:
    """Return a mask, which must not be None."""
    drawn = of(step, group, samples)
    assert drawn is not None
    return drawn


def test_mask_belongs_to_seed_step_and_group() -> None:
    """A mask does not depend on who draws it or on earlier draws, and differs for any other key."""
    one, other = dropout(), dropout()
    wanted = mask(one, 5, 2)
    mask(other, 9, 0)
    torch.manual_seed(77)
    assert torch.equal(mask(other, 5, 2), wanted)
    for different in (mask(one, 6, 2), mask(one, 5, 3), mask(dropout(seed=2), 5, 2)):
        assert not torch.equal(different, wanted)


def test_global_generator_is_left_alone() -> None:
    """Drawing a mask does not change torch's global generator."""
    before = torch.get_rng_state()
    mask(dropout(), 0, 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_features_are_dropped_at_the_rate(rate: float) -> None:
    """A feature is 0 with probability `rate`, else 1 / (1 - rate), so its expectation is 1."""
    drawn = torch.cat([mask(dropout(rate), step, 0, 200) for step in range(10)])
    assert drawn.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)])
    assert (drawn == 0).double().mean().item() == pytest.approx(
        rate, abs=5 * (rate * (1 - rate) / drawn.numel()) ** 0.5
    )


def test_no_mask_where_nothing_is_dropped() -> None:
    """At rate 0 there is no mask."""
    assert dropout(0.0)(0, 0, 4) is None
