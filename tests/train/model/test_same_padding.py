"""Zeros around the images and zeros in the kernel give the same convolution."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from headrace.train.model.same_padding import SameConv2d, pad_weights
from tests.train.networks import narrow


class Pads(TorchDispatchMode):
    """Records the sides of tensors that are copied to be padded."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives no types
        self.sides: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.constant_pad_nd.default and min(args[1]) >= 0:  # a gradient pads by less than nothing
            self.sides.append(tuple(args[0].shape[2:]))
        return func(*args, **(kwargs or {}))


def passed(network: nn.Module, images: Tensor) -> tuple[list[Tensor], list[tuple[int, ...]]]:
    """Return the output, the gradients of the images and of each parameter, and the padded sides."""
    inputs = images.clone().requires_grad_()
    with Pads() as pads:
        made = network(inputs)
        made.square().sum().backward()
    found = [made, inputs.grad, *(parameter.grad for parameter in network.parameters())]
    return [one for one in found if one is not None], pads.sides


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2, 3]),
    groups=st.sampled_from([1, 4]),
    seed=st.integers(0, 1000),
)
def test_padded_kernel_is_the_same(height: int, width: int, kernel: int, stride: int, groups: int, seed: int) -> None:
    """For any sides, kernel and stride, output and all gradients are equal in float64."""
    generator = torch.Generator().manual_seed(seed)
    around = SameConv2d(4, 4, (kernel, kernel), stride=(stride, stride), groups=groups, dtype=torch.float64)
    for parameter in around.parameters():
        nn.init.normal_(parameter, generator=generator)
    inside = copy.deepcopy(around)
    pad_weights(inside, "weights")
    images = torch.randn(2, 4, height, width, dtype=torch.float64, generator=generator)
    (expected, _), (found, _) = passed(around, images), passed(inside, images)
    assert len(found) == 4
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [96, 100])
def test_network_copies_kernels_and_no_images(size: int) -> None:
    """With "weights", training pads only kernels and gives the same numbers; evaluation and "images" pad images."""
    network = narrow().double()
    images = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected, around = passed(network, images)
    inside = narrow().double()
    pad_weights(inside, "weights")
    found, kernels = passed(inside, images)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert max(around) == (size, size)
    assert len(kernels) == len(around)
    assert set(kernels) <= {(3, 3), (5, 5)}
    assert min(passed(inside.eval(), images)[1]) > (5, 5)
    pad_weights(inside.train(), "images")
    assert passed(inside, images)[1] == around
