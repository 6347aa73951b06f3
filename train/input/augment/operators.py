"""Implements the operators of `train/input/augment/operation.py` for uint8 images (n, s, s, 3) on any device.

Each operator except `_warp` gives the same bits as torchvision on Pillow images; tests compare the results with
Pillow's. The operators compute with integers, or do one float operation at a time in Pillow's precision. Results are
therefore the same on every device, whatever other images a batch has. Sums over pixels add only integers, so the order
of the terms does not matter. No operator makes the CPU wait for a GPU.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from headrace.train.input.augment.hue import shift_hue
from headrace.train.input.augment.operation import Change, Op
from headrace.train.machine.device import Accelerator


def changed(images: Tensor, changes: Sequence[Change], accelerator: Accelerator) -> Tensor:
    """Apply all changes, in order, to uint8 images (b, s, s, 3). Without changes, return `images` itself."""
    if not changes:
        return images
    rows = accelerator.upload(np.concatenate([change.rows for change in changes]))
    values = accelerator.upload(np.concatenate([change.values.ravel() for change in changes]))
    sizes = [change.values.size for change in changes]
    images = images.clone()  # because they may lie in a buffer of the pipeline
    for change, some, numbers in zip(
        changes, rows.split([len(c.rows) for c in changes]), values.split(sizes), strict=True
    ):
        result = _OPERATORS[change.op](images.index_select(0, some), numbers.view(change.values.shape))
        images.index_copy_(0, some, result)
    return images


def _grey(images: Tensor) -> Tensor:
    """Return Pillow's 8-bit grey (ITU-R 601-2 luma) as int32 (n, s, s)."""
    red, green, blue = images.unbind(-1)
    return (red.int() * 19595 + green.int() * 38470 + blue.int() * 7471 + 0x8000) >> 16


def _blended(background: Tensor | float, pixels: Tensor, factors: Tensor) -> Tensor:
    """Return the same as `PIL.Image.blend(background, pixels, factor)`: computed in float32, clipped and truncated."""
    factors = factors.float().view(-1, *[1] * (pixels.dim() - 1))
    return pixels.float().sub_(background).mul_(factors).add_(background).clamp_(0, 255).to(torch.uint8)


def _brightness(images: Tensor, factors: Tensor) -> Tensor:
    return _blended(0.0, images, factors)


def _contrast(images: Tensor, factors: Tensor) -> Tensor:
    pixels = images.shape[1] * images.shape[2]
    twice = 2 * _grey(images).sum((1, 2), dtype=torch.int64)
    mean = (twice + pixels) // (2 * pixels)  # rounded half up
    return _blended(mean.float()[:, None, None, None], images, factors)


def _saturation(images: Tensor, factors: Tensor) -> Tensor:
    grey = _grey(images).float()  # blended by channel: broadcasting along the innermost axis is slow
    return torch.stack([_blended(grey, channel, factors) for channel in images.unbind(-1)], -1)


def _sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with a copy that is smoothed by Pillow's SMOOTH filter.

    The filter's weights are 5 / 13 for a pixel and 1 / 13 for each of its eight neighbours.

    The outermost pixels do not change.
    """
    pixels = images.int()
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = pixels[:, 1:-1, 1:-1]
    smooth = pixels.clone()
    smooth[:, 1:-1, 1:-1] = (
        2 * (around + 4 * inner) + 13
    ) // 26  # rounded; there are no ties, because the numerator is odd
    return _blended(smooth.float(), images, factors)


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    low = 2 ** (8 - bits.long())
    return images & (256 - low).to(torch.uint8)[:, :, None, None]


def _solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    return torch.where(images.float() < thresholds.float()[:, :, None, None], images, 255 - images)


def _autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to the range from 0 to 255, in float64 as Pillow does.

    A channel with a single value does not change.
    """
    low, high = images.amin((1, 2), keepdim=True).double(), images.amax((1, 2), keepdim=True).double()
    one_value = high <= low
    scale = torch.where(one_value, 1.0, torch.full_like(high, 255.0) / torch.where(one_value, 1.0, high - low))
    start = torch.where(one_value, 0.0, -low * scale)
    return (images.double() * scale).add_(start).clamp_(0, 255).to(torch.uint8)


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    """Map each channel through a table made from its histogram, as `PIL.ImageOps.equalize` does."""
    samples, pixels = len(images), images.shape[1] * images.shape[2]
    planes = images.permute(0, 3, 1, 2).reshape(samples * 3, pixels).long()
    counts = torch.zeros(samples * 3, 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, planes, torch.ones_like(planes))
    last = counts.gather(1, planes.amax(1, keepdim=True))
    step = (pixels - last) // 255
    below = counts.cumsum(1) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    equal = table.gather(1, planes).to(torch.uint8)
    return equal.view(samples, 3, *images.shape[1:3]).permute(0, 2, 3, 1)


def _warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Warp images: an image's matrix maps each pixel of the result to a point of the input image.

    The pixel of the result gets the colour of the input pixel nearest to that point, or black if the point is outside
    the image. The matrix is rounded to multiples of 1 / 65536, as in Pillow's `affine_fixed`. If an image is only
    scaled, Pillow computes in double precision instead. The result here then differs from Pillow's in fewer than 1 in
    1,000 pixels, which are taken from a neighbouring input pixel.
    """
    samples, side = len(images), images.shape[1]
    a, b, c, d, e, f = matrices.unbind(1)
    c, f = c + a * 0.5 + b * 0.5, f + d * 0.5 + e * 0.5
    fixed = (torch.stack((a, b, c, d, e, f)) * 65536 + 0.5).floor().long()
    a, b, c, d, e, f = fixed[:, :, None, None]
    along = torch.arange(side, device=images.device)
    down = along[:, None]
    column, row = (a * along + b * down + c) >> 16, (d * along + e * down + f) >> 16
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    first = torch.arange(samples, device=images.device)[:, None, None] * side**2
    outside = samples * side**2
    place = torch.where(inside, first + row * side + column, outside)
    pixels = torch.cat([images.reshape(-1, 3), images.new_zeros(1, 3)])
    return pixels.index_select(0, place.view(-1)).view_as(images)


def _erase(images: Tensor, boxes: Tensor) -> Tensor:
    along = torch.arange(images.shape[1], device=images.device)
    top, left, bottom, right = boxes[:, :4, None].unbind(1)
    rows, columns = (along >= top) & (along < bottom), (along >= left) & (along < right)
    box = rows[:, :, None, None] & columns[:, None, :, None]
    return torch.where(box, boxes[:, None, None, 4:].to(torch.uint8), images)


def _hue(images: Tensor, steps: Tensor) -> Tensor:
    return shift_hue(images, steps[:, :, None])


_OPERATORS: dict[Op, Callable[[Tensor, Tensor], Tensor]] = {
    Op.BRIGHTNESS: _brightness,
    Op.CONTRAST: _contrast,
    Op.SATURATION: _saturation,
    Op.SHARPNESS: _sharpness,
    Op.HUE: _hue,
    Op.POSTERIZE: _posterize,
    Op.SOLARIZE: _solarize,
    Op.AUTOCONTRAST: _autocontrast,
    Op.EQUALIZE: _equalize,
    Op.WARP: _warp,
    Op.ERASE: _erase,
}
