"""The depthwise convolution with its own weight gradient equals torch's convolution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.model import depthwise as module
from headrace.train.model.depthwise import by_shifts, depthwise, pays
from headrace.train.model.same_padding import same_padding

AVX2, AVX512 = (2, 8), (0, 2)


@settings(deadline=None, max_examples=60)
@given(
    largest=st.sampled_from([(0, 0), (0, 2), (2, 8)]),
    side=st.integers(1, 12),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2, 3]),
    channels=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_output_and_gradients_are_torchs(
    largest: tuple[int, int], side: int, kernel: int, stride: int, channels: int, seed: int
) -> None:
    """For any side, kernel and stride, with and without shifts, output and gradients equal conv2d's in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, channels, side, side, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(channels, 1, kernel, kernel, dtype=torch.float64, generator=generator, requires_grad=True)
    before, after = same_padding(side, kernel, stride)
    reference = F.conv2d(F.pad(x, [before, after] * 2), weight, None, stride, 0, 1, channels)
    grad = torch.randn(reference.shape, dtype=torch.float64, generator=generator)
    expected = torch.autograd.grad(reference, (x, weight), grad)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LARGEST", largest)
        found = depthwise(x, weight, stride, before, after)
        torch.testing.assert_close(found, reference)
        torch.testing.assert_close(torch.autograd.grad(found, (x, weight), grad), expected)


@pytest.mark.parametrize(
    ("largest", "side", "kernel", "expected"),
    [
        (AVX2, 2, 5, True),
        (AVX2, 2, 3, True),
        (AVX2, 8, 3, False),
        (AVX2, 16, 5, False),
        (AVX512, 2, 5, True),
        (AVX512, 2, 3, False),
    ],
)
def test_shifts_are_used_where_they_are_faster(
    monkeypatch: pytest.MonkeyPatch, largest: tuple[int, int], side: int, kernel: int, *, expected: bool
) -> None:
    """Shifts are used only for images hardly larger than the kernel, with limits that depend on the processor."""
    monkeypatch.setattr(module, "_LARGEST", largest)
    assert by_shifts(side, kernel) is expected
    x, weight = torch.zeros(1, 4, side, side), torch.zeros(4, 1, kernel, kernel)
    assert pays(x, weight, 1) is expected
    with torch.no_grad():
        assert not pays(x, weight, 1)


@pytest.mark.parametrize(("kernel", "stride", "expected"), [(3, 1, False), (3, 2, True), (5, 1, True), (5, 2, True)])
def test_bf16_takes_float32_gradients_where_its_own_are_slow(kernel: int, stride: int, *, expected: bool) -> None:
    """Gradients are computed in float32 for images of any size, with and without autocast."""
    x, weight = torch.zeros(1, 4, 32, 32), torch.zeros(4, 1, kernel, kernel)
    assert not pays(x, weight, stride)
    assert pays(x.bfloat16(), weight, stride) is expected
    with torch.autocast("cpu", torch.bfloat16):
        assert pays(x, weight, stride) is expected
    with torch.autocast("cpu", torch.float16):
        assert not pays(x, weight, stride)


@pytest.mark.parametrize("side", [4, 16])
def test_gradients_follow_autocast(side: int) -> None:
    """Under bf16 autocast, float32 inputs get float32 gradients close to the gradients without autocast."""
    x, weight = torch.randn(8, 4, side, side, requires_grad=True), torch.randn(4, 1, 5, 5, requires_grad=True)
    expected = torch.autograd.grad(depthwise(x, weight, 1, 2, 2).square().sum(), (x, weight))
    with torch.autocast("cpu", torch.bfloat16):
        out = depthwise(x, weight, 1, 2, 2)
    assert out.dtype == torch.bfloat16
    for one, other in zip(torch.autograd.grad(out.float().square().sum(), (x, weight)), expected, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.02 * other.norm()
