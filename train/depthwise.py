"""Depthwise convolution whose weight gradient is fast where the image is hardly larger than the kernel.

On a CPU torch computes that gradient of a 5 x 5 kernel on a 2 x 2 image some 30 times slower than it need be, and
EfficientNet's late stages at 64 to 128 pixels are just that. Each element of the gradient is the sum, over samples
and places, of input times output gradient at one shift, and is computed here as that: one product a shift. The
forward pass and the gradient of the input stay torch's.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  torch's own convention

_LARGEST = 8  # side of the input in pixels: beyond it torch's own is as fast


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether shifts are the faster way: seen on a CPU for 5 x 5 kernels, and where the kernel exceeds the image."""
    side, kernel = x.shape[-1], weight.shape[-1]
    return x.device.type == "cpu" and torch.is_grad_enabled() and side <= _LARGEST and (kernel > 3 or kernel > side)


class DepthwiseConv(torch.autograd.Function):
    """One k x k filter a channel over x (b, c, h, w) padded with `before` and `after` zeros on each axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, before: int, after: int) -> Tensor:
        """(b, c, h', w'), as conv2d gives it; weight is (c, 1, k, k)."""
        ctx.save_for_backward(x, weight)
        ctx.place = stride, before, after
        return F.conv2d(_padded(x, before, after), weight, None, stride, 0, 1, x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Gradients of x and of the weight."""
        x, weight = ctx.saved_tensors
        stride, before, after = ctx.place
        # Under autocast the forward pass computed in bf16 on inputs that may be float32, each gradient is its input's.
        like_x, like_weight = x.dtype, weight.dtype
        x, weight = x.to(grad.dtype), weight.to(grad.dtype)
        grad_x = input_gradient(grad, x, weight, stride, before, after).to(like_x)
        return grad_x, weight_gradient(grad, x, weight, stride, before).to(like_weight), None, None, None


def depthwise(x: Tensor, weight: Tensor, stride: int, before: int, after: int) -> Tensor:
    """`DepthwiseConv` as a function."""
    out: Tensor = DepthwiseConv.apply(x, weight, stride, before, after)  # type: ignore[no-untyped-call]
    return out


def _padded(x: Tensor, before: int, after: int) -> Tensor:
    return F.pad(x, [before, after, before, after])


def input_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int, before: int, after: int) -> Tensor:
    """The gradient of x, torch's own, without the part that falls on the padding."""
    padded = _padded(x, before, after)
    whole: Tensor = torch.ops.aten.convolution_backward(
        grad, padded, weight, None, [stride] * 2, [0, 0], [1, 1], False, [0, 0], x.shape[1], [True, False, False]
    )[0]
    height, width = x.shape[2:]
    return whole[:, :, before : before + height, before : before + width]


def weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int, before: int) -> Tensor:
    """(c, 1, k, k): at (i, j) the sum of grad[y, x'] * x[y * stride + i - before, x' * stride + j - before]."""
    kernel = weight.shape[-1]
    images, grads = x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)
    found = torch.zeros(kernel, kernel, x.shape[1], dtype=weight.dtype)
    rows = [_overlap(i - before, stride, images.shape[1], grads.shape[1]) for i in range(kernel)]
    columns = [_overlap(j - before, stride, images.shape[2], grads.shape[2]) for j in range(kernel)]
    for i, (of_image, of_grad) in enumerate(rows):
        for j, (across_image, across_grad) in enumerate(columns):
            product = images[:, of_image, across_image] * grads[:, of_grad, across_grad]
            found[i, j] = product.sum((0, 1, 2))
    return found.permute(2, 0, 1).unsqueeze(1)


def _overlap(shift: int, stride: int, side: int, out_side: int) -> tuple[slice, slice]:
    """The places y of an output whose input place y * stride + shift is inside, as slices of input and output."""
    first = max(0, -(shift // stride))
    last = min(out_side, (side - 1 - shift) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    return slice(first * stride + shift, (last - 1) * stride + shift + 1, stride), slice(first, last)
