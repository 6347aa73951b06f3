"""Depthwise convolution with faster gradients for cases in which torch's gradients are slow on a CPU.

If an image is hardly larger than the 5 x 5 kernel, torch computes the weight gradient up to 30 times more slowly than
necessary. EfficientNet's late stages at 64 to 128 pixels are such cases. The gradient has one element for each shift
between input and output: the sum, over samples and positions, of the shifted input times the output gradient. For such
images, this module therefore computes one product of tensors for each shift.

In bf16, torch's gradients are fast only for 3 x 3 kernels with stride 1. For other kernels and strides, torch's
gradients take several times as long in bf16 as in float32; they were a third of a step at 224 pixels
(docs/decisions/0014). For these kernels and strides, this module computes the gradients in float32. The forward pass is
always torch's.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.machine.device import computes_in_bf16, has_avx512, lies_on_cpu

# Largest side of the input in pixels for which shifts are faster: for 3 x 3 kernels, and for larger kernels. With
# AVX-512 torch's gradients are faster, so the sides are smaller.
_LARGEST = (0, 2) if has_avx512() else (2, 8)


def pays(x: Tensor, weight: Tensor, stride: int) -> bool:
    """Whether this module's gradients are faster than torch's for this input.

    The limits in this rule were measured on CPUs with AVX2, AVX-512 and bf16 units.
    """
    if not lies_on_cpu(x) or not torch.is_grad_enabled():
        return False
    kernel = weight.shape[-1]
    return by_shifts(x.shape[-1], kernel) or (computes_in_bf16(x) and (kernel > 3 or stride > 1))


def by_shifts(side: int, kernel: int) -> bool:
    """Whether computing the weight gradient as one product for each shift is faster than torch's own function."""
    return side <= _LARGEST[int(kernel > 3)]  # torch 2.11 compiles no index that is a bool


class DepthwiseConv(torch.autograd.Function):
    """One k x k filter per channel over x (b, c, h, w), padded with `before` and `after` zeros on each axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, before: int, after: int) -> Tensor:
        """Return the output (b, c, h', w') of conv2d; weight is (c, 1, k, k)."""
        ctx.save_for_backward(x, weight)
        ctx.place = stride, before, after
        padded, rest = _padded(x, before, after)
        return F.conv2d(padded, weight, None, stride, rest, 1, x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Return the gradients of x and of the weight, computed in float32, then cast to the dtypes of x and weight."""
        x, weight = ctx.saved_tensors
        stride, before, after = ctx.place
        exact = torch.promote_types(grad.dtype, torch.float32)
        like_x, like_weight = x.dtype, weight.dtype
        x, weight, grad = x.to(exact), weight.to(exact), grad.to(exact)
        shifts = by_shifts(x.shape[-1], weight.shape[-1])
        of_x, of_weight = gradients(grad, x, weight, stride, before, after, with_weight=not shifts)
        if shifts:
            of_weight = weight_gradient(grad, x, weight, stride, before)
        return of_x.to(like_x), of_weight.to(like_weight), None, None, None


def depthwise(x: Tensor, weight: Tensor, stride: int, before: int, after: int) -> Tensor:
    """Return the output of `DepthwiseConv`."""
    out: Tensor = DepthwiseConv.apply(x, weight, stride, before, after)  # type: ignore[no-untyped-call]
    return out


def _padded(x: Tensor, before: int, after: int) -> tuple[Tensor, int]:
    """Return x, with zeros around it if the padding is uneven, and the padding that the convolution must still add."""
    return (x, before) if before == after else (F.pad(x, [before, after, before, after]), 0)


def gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, before: int, after: int, *, with_weight: bool
) -> tuple[Tensor, Tensor]:
    """Return the gradients of x, without its padding, and of the weight, both computed by torch."""
    padded, rest = _padded(x, before, after)
    wanted = [True, with_weight, False]
    whole, of_weight, _ = torch.ops.aten.convolution_backward(
        grad, padded, weight, None, [stride] * 2, [rest] * 2, [1, 1], False, [0, 0], x.shape[1], wanted
    )
    first, (height, width) = before - rest, x.shape[2:]
    return whole[:, :, first : first + height, first : first + width], of_weight


def weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int, before: int) -> Tensor:
    """Return the weight gradient (c, 1, k, k).

    Its element (i, j) is the sum of grad[y, x'] * x[y * stride + i - before, x' * stride + j - before] over samples and
    output positions (y, x').
    """
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
    """Return slices of the input and the output along one axis, which select the positions that overlap at this shift.

    These are the output positions y whose input position y * stride + shift is inside the image.
    """
    first = max(0, -(shift // stride))
    last = min(out_side, (side - 1 - shift) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    return slice(first * stride + shift, (last - 1) * stride + shift + 1, stride), slice(first, last)
