"""Brightness, contrast, saturation and hue: torchvision's ColorJitter, drawn by (seed, epoch, sample id)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.views import Samples

_OPS = (Op.BRIGHTNESS, Op.CONTRAST, Op.SATURATION, Op.HUE)


class Jitter(NamedTuple):
    """Half-widths x: factors are drawn from [1 - x, 1 + x], shifts of the hue, in turns, from [-x, x]. 0 means off."""

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


def jitter_changes(jitter: Jitter, seed: int, samples: Samples) -> Iterator[Change]:
    """Yield the colour operators of each sample in its own random order, as in `torchvision.transforms.ColorJitter`.

    A sample's factors and order do not depend on which other operators are on.
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
    """Return the whole steps, truncated towards 0, that torchvision's `functional.adjust_hue` adds to an 8-bit hue."""
    return np.trunc(turns * 255) % 256
