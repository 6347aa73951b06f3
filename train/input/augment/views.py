"""Draws the part of each image that is used, and whether it is mirrored: pure functions of (seed, epoch, sample id).

A *view* is a rectangle of the decoded image that the pipeline resizes to the training size. In a mirrored view the left
and right edges are exchanged, and the resize mirrors it at no cost.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, uniforms

ATTEMPTS = 10  # as in torchvision, which then takes the central box, or erases nothing

# Numbers of the tries that are drawn together: most boxes fit at the first try, and most others within a few
_TOGETHER = (range(1), range(1, ATTEMPTS))


class Views(NamedTuple):
    """Rectangles in pixels of the decoded image: float32 (n, 2) corners as (y, x); start x > end x means mirrored.

    If `short` is 0, the rectangles lie on whole pixels; they are cut out and then resized, as in RandomResizedCrop.
    Otherwise the images are resized until their shorter side is `short`, and then squares are cut out, as in Resize and
    CenterCrop.
    """

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    short: int = 0

    def only(self, rows: NDArray[Any] | slice) -> "Views":
        """Return the views of these rows."""
        return self._replace(start=self.start[rows], end=self.end[rows])


class Samples(NamedTuple):
    """Images, and the epochs in which they are used: columns of equal length n."""

    epochs: NDArray[np.int64]
    ids: NDArray[np.int64]
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]

    def only(self, rows: NDArray[Any] | slice) -> "Samples":
        """Return the samples of these rows."""
        return Samples(self.epochs[rows], self.ids[rows], self.widths[rows], self.heights[rows])


class Crop(NamedTuple):
    """Random resized crop: ranges of the area share and of the width-to-height ratio, and probability of mirroring."""

    area: tuple[float, float]
    ratio: tuple[float, float]
    flip: float


def train_views(crop: Crop, seed: int, samples: Samples) -> Views:
    """Return the view of each sample: a random resized crop, mirrored or not.

    Follows `torchvision.transforms.RandomResizedCrop`: up to ten pairs (area, log-uniform ratio) are drawn. The first
    box that fits is placed uniformly on whole pixels. If none fits, the largest central box within the ratio bounds is
    used.
    """
    height, width = _box_shapes(crop, seed, samples)
    place = uniforms(seed, Stream.CROP, samples.epochs, samples.ids, 2 * ATTEMPTS, count=2)
    fallback = height < 0
    height, width = np.abs(height), np.abs(width)
    free_rows, free_columns = samples.heights - height, samples.widths - width
    top = np.floor(place[:, 0] * (free_rows + 1))
    left = np.floor(place[:, 1] * (free_columns + 1))
    top[fallback], left[fallback] = free_rows[fallback] // 2, free_columns[fallback] // 2
    mirror = uniforms(seed, Stream.FLIP, samples.epochs, samples.ids, count=1)[:, 0] < crop.flip
    return _views(top, left, top + height, left + width, mirror)


def _box_shapes(crop: Crop, seed: int, samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return heights and widths of the boxes. If no try fitted, they are the central box's, with negative signs."""
    limits = samples.widths.astype(np.float64), samples.heights.astype(np.float64)
    width, height = tried_sides(seed, Stream.CROP, samples, crop.area, crop.ratio, limits)
    central_height, central_width = _central_box(crop, samples.widths, samples.heights)
    fits = width > 0
    return np.where(fits, height, -central_height), np.where(fits, width, -central_width)


def tried_sides(
    seed: int,
    stream: Stream,
    samples: Samples,
    area: tuple[float, float],
    ratio: tuple[float, float],
    limits: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sides (first, second) of a rectangle for each sample, in whole pixels; both 0 if none of ten tries fits.

    A try draws a uniform share of the image's area and a log-uniform ratio first / second. It fits if each side has at
    least one pixel and at most its limit, (n,) each. torchvision's RandomResizedCrop and RandomErasing do the same.
    """
    draws = Tries(seed, stream, area, ratio)
    first, second = np.zeros(len(samples.ids)), np.zeros(len(samples.ids))
    left = np.arange(len(samples.ids))
    for tries in _TOGETHER:
        sides = draws.sides(tries, samples.only(left))
        fits = np.all([(side > 0) & (side <= limit[left, None]) for side, limit in zip(sides, limits, strict=True)], 0)
        earliest = fits.argmax(1)[:, None]
        for chosen, side in zip((first, second), sides, strict=True):
            chosen[left] = np.take_along_axis(np.where(fits, side, 0.0), earliest, 1)[:, 0]
        left = left[~fits.any(1)]
        if not len(left):
            break
    return first, second


class Tries(NamedTuple):
    """The distributions that tries for a rectangle are drawn from."""

    seed: int
    stream: Stream
    area: tuple[float, float]
    ratio: tuple[float, float]

    def sides(self, tries: range, samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sides (first, second) from these tries for each sample, in whole pixels, (n, tries) each."""
        columns = samples.epochs[:, None], samples.ids[:, None], np.array(tries)
        draw = uniforms(self.seed, self.stream, *columns, count=2)
        whole = samples.widths.astype(np.float64) * samples.heights
        pixels = (self.area[0] + (self.area[1] - self.area[0]) * draw[..., 0]) * whole[:, None]
        log_ratio = np.log(self.ratio)
        drawn = np.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * draw[..., 1])
        return np.rint(np.sqrt(pixels * drawn)), np.rint(np.sqrt(pixels / drawn))


def _central_box(
    crop: Crop, widths: NDArray[np.int32], heights: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return heights and widths of the largest boxes within the ratio bounds, each at least one pixel."""
    wide, high = widths.astype(np.float64), heights.astype(np.float64)
    too_tall, too_wide = wide / high < crop.ratio[0], wide / high > crop.ratio[1]
    height = np.where(too_tall, np.rint(wide / crop.ratio[0]), high)
    width = np.where(too_wide, np.rint(high * crop.ratio[1]), wide)
    return np.maximum(height, 1), np.maximum(width, 1)


def centre_views(fraction: float, size: int, widths: NDArray[np.int32], heights: NDArray[np.int32]) -> Views:
    """Return the central squares, of about `fraction` of the shorter side, that become size x size.

    Follows `torchvision.transforms.Resize(size / fraction)` and `CenterCrop(size)` to the pixel: 256 and 224 correspond
    to `fraction = 224 / 256`.
    """
    short, shorter = round(size / fraction), np.minimum(widths, heights)
    corners = []
    for sides in (heights, widths):
        resized, first = resized_then_cut(short, size, sides, shorter)
        corners += [first * sides / resized, (first + size) * sides / resized]
    top, bottom, left, right = corners
    return _views(top, left, bottom, right, np.zeros(len(widths), bool))._replace(short=short)


def resized_then_cut(
    short: int, size: int, sides: NDArray[np.integer], shorter: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sides of images after Resize(short), and the start of CenterCrop(size), rounded as in torchvision.

    `shorter` are the shorter sides of the images before the resize.
    """
    resized = short * sides.astype(np.int64) // shorter
    return resized, np.rint((resized - size) / 2).astype(np.int64)


def _views(
    top: NDArray[np.float64],
    left: NDArray[np.float64],
    bottom: NDArray[np.float64],
    right: NDArray[np.float64],
    mirror: NDArray[np.bool_],
) -> Views:
    start = np.stack([top, np.where(mirror, right, left)], 1).astype(np.float32)
    end = np.stack([bottom, np.where(mirror, left, right)], 1).astype(np.float32)
    return Views(start, end)
