"""The mean of each channel over an image, with a gradient in the memory format of the network."""

from typing import Any

import torch
from torch import Tensor


def spatial_mean(x: Tensor) -> Tensor:
    """Return the mean of x (b, c, h, w) over its pixels, as (b, c).

    torch's own mean expands the gradient to every pixel and then divides it, which makes a full tensor that is not
    channels_last. Adding this tensor to another gradient would mix two layouts.
    """
    mean: Tensor = _Mean.apply(x)  # type: ignore[no-untyped-call]  # torch's stub gives no types
    return mean


class _Mean(torch.autograd.Function):
    """Computes the mean over pixels with the same numbers as torch's mean.

    In the backward pass, the gradient is first divided by the number of pixels, and then expanded to all pixels as a
    view.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean((2, 3))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,), (height, width) = gradients, ctx.shape[2:]
        share: Tensor = gradient / (height * width)
        return share[:, :, None, None].expand(ctx.shape)
