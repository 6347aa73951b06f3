"""Draws which part of each image is used, and whether the part is mirrored.

The draws depend only on (seed, epoch, sample id). A *view* is a rectangle of the decoded image that the pipeline
resizes to the training size. A mirrored view has its left and right edges exchanged: the resize then mirrors the image
at no additional cost.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.draws import Stream, uniforms

ATTEMPTS = 10  # as in torchvision, which then takes the central box, or erases nothing

# Numbers of the tries that are drawn together: most boxes fit at the first try, and most others within a few
_TOGETHER = (range(1), range(1, ATTEMPTS))


class Views(NamedTuple):
    """The views of n decoded images: rectangles with corners `start` and `end`, float32 (n, 2), as (y, x) in pixels.

    If the x of `start` is larger than the x of `end`, the view is mirrored.

    If `short` is 0, the corners are whole numbers: rectangles are cut out and then resized, as in RandomResizedCrop.
    Otherwise the images are resized until their shorter side is `short`, and then squares are cut out, as in Resize and
    CenterCrop.
    """

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    short: int = 0

    def only(self, rows: NDArray[Any] | slice) -> "Views":
        """Return the views in these rows."""
        return self._replace(start=self.start[rows], end=self.end[rows])


class Samples(NamedTuple):
    """Columns (n,) that describe n samples: the epoch of use, the sample id, and the width and height of the image."""

    epochs: NDArray[np.int64]
    ids: NDArray[np.int64]
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]

    def only(self, rows: NDArray[Any] | slice) -> "Samples":
        """Return the samples in these rows."""
        return Samples(self.epochs[rows], self.ids[rows], self.widths[rows], self.heights[rows])


class Crop(NamedTuple):
    """The parameters of a random resized crop.

    `area` is the range of the crop's share of the image's area. `ratio` is the range of the crop's width divided by its
    height. `flip` is the probability that the view is mirrored.
    """

    area: tuple[float, float]
    ratio: tuple[float, float]
    flip: float


def train_views(crop: Crop, seed: int, samples: Samples) -> Views:
    """Return the view of each sample: a random resized crop, mirrored or not.

    Follows `torchvision.transforms.RandomResizedCrop`: for each sample, up to ten boxes are drawn, with a uniform area
    and a log-uniform ratio. The first box that fits into the image is used, at a uniformly random position in whole
    pixels. If no box fits, the largest central box within the range of ratios is used.
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
    """Return the heights and widths, (n,) each, in pixels, of the boxes (random crops) of the samples.

    If none of the boxes drawn for a sample fits, the height and width of the central box are returned as negative
    numbers.
    """
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
    """Return the sides (first, second) of a rectangle for each sample, (n,) each, in whole pixels.

    For each sample, up to ten rectangles are drawn, and the first one that fits is used. If none fits, both sides are
    0. A rectangle has a uniformly drawn share of the image's area, and a log-uniformly drawn ratio of its first to its
    second side. `limits` are the largest first and second sides, (n,) each. A rectangle fits if each side is from 1
    pixel to its limit. torchvision's RandomResizedCrop and RandomErasing draw rectangles in the same way.
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
    """Draws rectangles with random areas (as shares of the image's area) and random ratios of their sides."""

    seed: int
    stream: Stream
    area: tuple[float, float]
    ratio: tuple[float, float]

    def sides(self, tries: range, samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sides (first, second) of the rectangles with the numbers `tries`, in pixels: (n, len(tries)) each.

        Rectangles are numbered from 0 for each sample.
        """
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
    """Return the heights and widths, (n,) each, of the images' largest boxes within the crop's range of ratios.

    Each side is at least one pixel.
    """
    wide, high = widths.astype(np.float64), heights.astype(np.float64)
    too_tall, too_wide = wide / high < crop.ratio[0], wide / high > crop.ratio[1]
    height = np.where(too_tall, np.rint(wide / crop.ratio[0]), high)
    width = np.where(too_wide, np.rint(high * crop.ratio[1]), wide)
    return np.maximum(height, 1), np.maximum(width, 1)


def centre_views(fraction: float, size: int, widths: NDArray[np.int32], heights: NDArray[np.int32]) -> Views:
    """Return views of the central squares, whose sides are about `fraction` of the images' shorter sides.

    Each square is resized to `size` x `size` pixels. The views show exactly the pixels that
    `torchvision.transforms.Resize(size / fraction)` and `CenterCrop(size)` show. For example, `Resize(256)` and
    `CenterCrop(224)` correspond to `size = 224` and `fraction = 224 / 256`.
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
    """For one axis, return each image's side after Resize(short), and the first pixel that CenterCrop(size) keeps.

    Both results are rounded as in torchvision. `sides` are the images' sides along this axis before the resize, and
    `shorter` are the images' shorter sides.
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
