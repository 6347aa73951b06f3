"""Draws changes of brightness, contrast, saturation and hue, like torchvision's ColorJitter.

The draws depend only on (seed, epoch, sample id).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.views import Samples

_OPS = (Op.BRIGHTNESS, Op.CONTRAST, Op.SATURATION, Op.HUE)


class Jitter(NamedTuple):
    """The strength x of each colour operator (a change of brightness, contrast, saturation or hue); 0 turns it off.

    Factors of brightness, contrast and saturation are drawn from [1 - x, 1 + x]. Shifts of the hue are drawn from [-x,
    x], where 1 is the whole colour circle.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


def jitter_changes(jitter: Jitter, seed: int, samples: Samples) -> Iterator[Change]:
    """Yield changes that apply the colour operators to each sample, in an order that is drawn for the sample.

    Orders and factors are drawn as in `torchvision.transforms.ColorJitter`. If one operator is turned on or off, the
    other operators keep their factors and their relative order.
    """
    on = [column for column, width in enumerate(jitter) if width]
    if not on:
        return
    draws = uniforms(seed, Stream.COLOUR, samples.epochs, samples.ids, count=2 * len(_OPS))
    sequence = np.array(on)[np.argsort(draws[:, on], axis=1, kind="stable")]
    for turn in sequence.T:
        for column in on:
            rows = np.flatnonzero(turn == column)
            spread = (2 * draws[rows, len(_OPS) + column] - 1) * jitter[column]
            if len(rows):
                values = hue_steps(spread) if _OPS[column] is Op.HUE else 1 + spread
                yield Change(_OPS[column], rows, values[:, None])


def hue_steps(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the whole numbers that torchvision's `adjust_hue` adds to an 8-bit hue to shift it by `turns`.

    `turns` are fractions of the colour circle. The products 255 * turns are truncated towards 0, then taken modulo 256.
    """
    return np.trunc(turns * 255) % 256
