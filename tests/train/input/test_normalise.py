"""Normalisation is (x - mean) / std for every pixel, in the layout that the network wants."""

import pytest
import torch

from headrace.train.input.normalise import Normalise
from headrace.train.machine.device import Accelerator
from headrace.train.model.normalisation import normalisation_of


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-lite0"])
@pytest.mark.parametrize("shape", [(2, 32, 64, 3), (1, 7, 5, 3)])
def test_each_channel_has_its_own_mean_and_std(name: str, shape: tuple[int, ...]) -> None:
    """Every pixel is its channel's (x - mean) / std, at any size, also one size after another; the input stays."""
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before, known = images.clone(), normalisation_of(name)
    normalise = Normalise(*known, Accelerator(None))
    normalise(torch.zeros(1, 4, 4, 3, dtype=torch.uint8))
    found = normalise(images)
    expected = (images.float() - torch.tensor(known.mean)) / torch.tensor(known.std)
    torch.testing.assert_close(found, expected.permute(0, 3, 1, 2))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)
