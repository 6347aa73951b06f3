"""Shifts hues like torchvision's `adjust_hue` on Pillow images: converts to 8-bit HSV and back, rounded as in Pillow.

Pillow's conversions (`rgb2hsv_row` and `hsv2rgb` in libImaging/Convert.c) compute partly in float and partly in double.
The tables and formulas here repeat these operations in the same order and precision, so the bytes are the same on every
device.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

_DELTAS = 511  # differences of two 8-bit values


class _Tables(NamedTuple):
    """Lookup tables, stored on one device, for the conversions between RGB and HSV.

    Each table holds the results of one step of a conversion for all possible inputs of that step.
    """

    hue: Tensor  # uint8 (3 * 511 * 256,) by index of the largest channel, difference of the other two + 255, spread
    saturation: Tensor  # uint8 (65536,) by spread * 256 + value
    low: Tensor  # uint8 (65536,) by saturation * 256 + value: the smallest channel
    weight: Tensor  # float64 (256,) by hue: the factor with which saturation lowers the middle channel
    falling: Tensor  # bool (256,) by hue: whether the middle channel falls as the hue grows
    order: Tensor  # int64 (256, 3) by hue: for red, green and blue, the index in (value, middle, low)


def shift_hue(images: Tensor, steps: Tensor) -> Tensor:
    """Add `steps` (n, 1, 1), in units of 1 / 256 of the colour circle, to the hues of uint8 images (n, s, s, 3).

    Hues wrap around: 256 becomes 0.
    """
    tables = _tables(images.device)
    hue, saturation, value = _to_hsv(images, tables)
    return _to_rgb(hue + steps.to(torch.uint8), saturation, value, tables)  # uint8 wraps


def _to_hsv(images: Tensor, tables: _Tables) -> tuple[Tensor, Tensor, Tensor]:
    """Convert RGB images, uint8 (n, s, s, 3), to 8-bit hue, saturation and value, each uint8 (n, s, s)."""
    channels = images.unbind(-1)
    high = torch.maximum(torch.maximum(channels[0], channels[1]), channels[2])
    low = torch.minimum(torch.minimum(channels[0], channels[1]), channels[2])
    red, green, blue = (channel.int() for channel in channels)
    spread = (high - low).int()
    red_leads, green_leads = channels[0] == high, channels[1] == high
    delta = torch.where(red_leads, green - blue, torch.where(green_leads, blue - red, red - green))
    leader = torch.where(red_leads, 0, torch.where(green_leads, 1, 2).int())
    hue = _looked_up(tables.hue, (leader * _DELTAS + delta + 255) * 256 + spread)
    return hue, _looked_up(tables.saturation, spread * 256 + high), high


def _to_rgb(hue: Tensor, saturation: Tensor, value: Tensor, tables: _Tables) -> Tensor:
    """Convert 8-bit hue, saturation and value, each uint8 (n, s, s), to RGB images, uint8 (n, s, s, 3)."""
    low = _looked_up(tables.low, saturation.int() * 256 + value)
    by_hue = hue.int()
    taken = (saturation.double() / 255.0).float().double() * _looked_up(tables.weight, by_hue)
    taken = torch.where(_looked_up(tables.falling, by_hue), taken.float().double(), taken)
    middle = _rounded(value.double() * (1.0 - taken))
    order = tables.order.index_select(0, by_hue.view(-1)).view(*hue.shape, 3)
    return torch.stack((value, middle, low), -1).gather(-1, order)


def _looked_up(table: Tensor, places: Tensor) -> Tensor:
    return table.index_select(0, places.view(-1)).view(places.shape)


def _rounded(x: Tensor) -> Tensor:
    """Round numbers from 0 to 255 like C's round(), which rounds halves up."""
    return (x + 0.5).to(torch.uint8)


@cache
def _tables(device: torch.device) -> _Tables:
    byte = torch.arange(256, device=device)
    row, column = byte[:, None].double(), byte[None, :].double()
    saturation = ((row.float() / column.float().clamp(min=1)).double() * 255.0).clamp_(max=255)
    low = _rounded(column * (1.0 - (row / 255.0).float().double()))
    turned = byte.double() * 6.0 / 255.0
    sector = turned.floor()
    part = (turned - sector).float().double()
    falling = sector % 2 == 1
    orders = torch.tensor([[0, 1, 2], [1, 0, 2], [2, 0, 1], [2, 1, 0], [1, 2, 0], [0, 2, 1]], device=device)
    return _Tables(
        _hues(device).view(-1),
        saturation.to(torch.uint8).view(-1),
        low.view(-1),
        torch.where(falling, part, 1.0 - part),
        falling,
        orders.index_select(0, sector.long() % 6),
    )


def _hues(device: torch.device) -> Tensor:
    """Return the table of hues, uint8 (3, 511, 256).

    Its indices are those of `_Tables.hue`: the largest channel, the difference of the other two + 255, and the spread.
    Pillow divides the distance of each channel from the largest channel by the spread (largest minus smallest channel).
    For the smallest channel, the quotient is therefore 1.
    """
    leader = torch.arange(3, device=device)[:, None, None]
    delta = torch.arange(-255, 256, device=device)[None, :, None]
    spread = torch.arange(256, device=device)[None, None, :]
    distance = (spread - delta.abs()).float() / spread.clamp(min=1).float()
    first, second = torch.where(delta < 0, distance, 1.0), torch.where(delta < 0, 1.0, distance)
    in_float, in_double = first - second, (2.0 * leader + first.double()) - second.double()
    sixths = torch.where(leader == 0, in_float, in_double.float())
    turn = torch.fmod(sixths.double() / 6.0 + 1.0, 1.0).float()
    hue = (turn.double() * 255.0).to(torch.uint8)
    return torch.where((spread > 0) & (delta.abs() <= spread), hue, 0)
