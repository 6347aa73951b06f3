"""The depthwise convolution with its own weight gradient is torch's convolution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812  torch's own convention

from train.convolution import same_padding
from train.depthwise import depthwise, pays


@settings(deadline=None, max_examples=60)
@given(
    side=st.integers(1, 9),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2, 3]),
    channels=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_output_and_gradients_are_torchs(side: int, kernel: int, stride: int, channels: int, seed: int) -> None:
    """For any side, kernel and stride the output and both gradients agree with conv2d's in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, channels, side, side, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(channels, 1, kernel, kernel, dtype=torch.float64, generator=generator, requires_grad=True)
    before, after = same_padding(side, kernel, stride)
    reference = F.conv2d(F.pad(x, [before, after] * 2), weight, None, stride, 0, 1, channels)
    grad = torch.randn(reference.shape, dtype=torch.float64, generator=generator)
    expected = torch.autograd.grad(reference, (x, weight), grad)
    found = depthwise(x, weight, stride, before, after)
    torch.testing.assert_close(found, reference)
    torch.testing.assert_close(torch.autograd.grad(found, (x, weight), grad), expected)


@pytest.mark.parametrize(("side", "kernel", "expected"), [(2, 5, True), (2, 3, True), (8, 3, False), (16, 5, False)])
def test_used_where_it_is_faster(side: int, kernel: int, *, expected: bool) -> None:
    """Only images hardly larger than the kernel take this way, and only while gradients are kept."""
    x, weight = torch.zeros(1, 4, side, side), torch.zeros(4, 1, kernel, kernel)
    assert pays(x, weight) is expected
    with torch.no_grad():
        assert not pays(x, weight)


def test_gradients_follow_autocast() -> None:
    """Under bf16 autocast float32 inputs get float32 gradients, close to those without autocast."""
    x, weight = torch.randn(8, 4, 4, 4, requires_grad=True), torch.randn(4, 1, 5, 5, requires_grad=True)
    expected = torch.autograd.grad(depthwise(x, weight, 1, 2, 2).square().sum(), (x, weight))
    with torch.autocast("cpu", torch.bfloat16):
        out = depthwise(x, weight, 1, 2, 2)
    assert out.dtype == torch.bfloat16
    for one, other in zip(torch.autograd.grad(out.float().square().sum(), (x, weight)), expected, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.02 * other.norm()
