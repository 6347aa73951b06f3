"""Normalisation computes (x - mean) / std for every pixel, in the layout that the network needs."""

import pytest
import torch

from headrace.train.input.normalise import Normalise, _scaled_on_gpu
from headrace.train.machine.device import Accelerator
from headrace.train.model.normalisation import normalisation_of


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-lite0"])
@pytest.mark.parametrize("shape", [(2, 32, 64, 3), (1, 7, 5, 3)])
def test_each_channel_has_its_own_mean_and_std(name: str, shape: tuple[int, ...]) -> None:
    """Every pixel is (x - mean) / std of its channel, at any size and for changing sizes; the input does not change."""
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before, known = images.clone(), normalisation_of(name)
    normalise = Normalise(*known, Accelerator(None))
    normalise(torch.zeros(1, 4, 4, 3, dtype=torch.uint8))
    found = normalise(images)
    expected = (images.float() - torch.tensor(known.mean)) / torch.tensor(known.std)
    torch.testing.assert_close(found, expected.permute(0, 3, 1, 2))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


def test_traced_and_one_pass_agree() -> None:
    """The operations of a compiled graph and of a GPU's single pass agree up to rounding."""
    pixels = torch.randint(0, 256, (3, 5, 7, 3), dtype=torch.uint8)
    normalise = Normalise(*normalisation_of("efficientnet-b0"), Accelerator(None))
    wanted, traced = normalise(pixels), normalise.traced(pixels)
    assert traced.stride() == wanted.stride()
    torch.testing.assert_close(traced, wanted, rtol=0, atol=1e-6)
    made = torch.empty(15, 21)
    _scaled_on_gpu(pixels.view(15, 21), *normalise._row(7), made)
    torch.testing.assert_close(made.view(3, 5, 7, 3).permute(0, 3, 1, 2), wanted, rtol=0, atol=1e-6)
