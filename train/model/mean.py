"""The mean of each channel over an image, with a gradient in the layout of the rest."""

from typing import Any

import torch
from torch import Tensor


def spatial_mean(x: Tensor) -> Tensor:
    """(b, c, h, w) to (b, c).

    torch divides the gradient after it has expanded it to every pixel, which makes a whole tensor, and one that is not
    channels_last; what it is added to is then read in two layouts.
    """
    mean: Tensor = _Mean.apply(x)  # type: ignore[no-untyped-call]  # torch's stub gives no types
    return mean


class _Mean(torch.autograd.Function):
    """The same numbers; the gradient is divided first, and what is handed back is a view of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean((2, 3))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,), (height, width) = gradients, ctx.shape[2:]
        share: Tensor = gradient / (height * width)
        return share[:, :, None, None].expand(ctx.shape)
