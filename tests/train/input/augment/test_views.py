import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.views import Crop, Samples, Views, centre_views, train_views, tried_sides

USUAL = Crop((0.08, 1.0), (3 / 4, 4 / 3), 0.5)
Array = NDArray[Any]

sides = st.integers(1, 3000)
seeds = st.integers(0, 2**63 - 1)


@st.composite
def crops(draw: st.DrawFn) -> Crop:
    """Draw any crop that a recipe allows."""
    area = sorted(draw(st.tuples(st.floats(0.001, 1), st.floats(0.001, 1))))
    ratio = sorted(draw(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10))))
    return Crop((area[0], area[1]), (ratio[0], ratio[1]), draw(st.floats(0, 1)))


def boxes(views: Views) -> tuple[Array, Array, Array, Array, Array]:
    """Return top, left, height, width of each view, and whether it is mirrored."""
    mirrored = views.start[:, 1] > views.end[:, 1]
    left = np.minimum(views.start[:, 1], views.end[:, 1])
    width = np.abs(views.end[:, 1] - views.start[:, 1])
    return views.start[:, 0], left, views.end[:, 0] - views.start[:, 0], width, mirrored


def views_of(crop: Crop, width: int, height: int, *, seed: int = 0, epoch: int = 0, count: int = 8) -> Views:
    """Return views of `count` images of one size."""
    ids = np.arange(count)
    full = np.ones(count, np.int32)
    return train_views(crop, seed, Samples(np.full(count, epoch), ids, full * width, full * height))


def reference_box(crop: Crop, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Compute torchvision's RandomResizedCrop.get_params line by line with NumPy's generator: (i, j, h, w)."""
    area = height * width
    log_ratio = math.log(crop.ratio[0]), math.log(crop.ratio[1])
    for _ in range(10):
        target_area = area * rng.uniform(*crop.area)
        aspect_ratio = math.exp(rng.uniform(*log_ratio))
        w = round(math.sqrt(target_area * aspect_ratio))
        h = round(math.sqrt(target_area / aspect_ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
    in_ratio = width / height
    if in_ratio < crop.ratio[0]:
        w, h = width, round(width / crop.ratio[0])
    elif in_ratio > crop.ratio[1]:
        w, h = round(height * crop.ratio[1]), height
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


@given(crop=crops(), width=sides, height=sides, seed=seeds)
def test_box_is_whole_pixels_inside_the_image(crop: Crop, width: int, height: int, seed: int) -> None:
    """For images of any shape, the box consists of whole pixels, at least one, and lies inside the image."""
    top, left, high, wide, _ = boxes(views_of(crop, width, height, seed=seed))
    for edge in (top, left, high, wide):
        assert (edge == np.floor(edge)).all()
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (high >= 1).all()
    assert (wide >= 1).all()
    assert (top + high <= height).all()
    assert (left + wide <= width).all()


@given(crop=crops(), side=st.integers(200, 2000), seed=seeds)
def test_box_has_the_area_and_ratio_that_were_asked_for(crop: Crop, side: int, seed: int) -> None:
    """A box that is not the fallback is within the bounds of area and ratio, apart from rounding to pixels."""
    _, _, high, wide, _ = boxes(views_of(crop, side, side, seed=seed))
    drawn = ~((high == side) | (wide == side))  # the fallback spans the image in one direction
    high, wide = high[drawn], wide[drawn]
    assert ((high + 0.5) * (wide + 0.5) >= crop.area[0] * side * side - 1).all()
    assert ((high - 0.5) * (wide - 0.5) <= crop.area[1] * side * side + 1).all()
    assert ((wide + 0.5) / (high - 0.5) >= crop.ratio[0] * (1 - 1e-9)).all()
    assert ((wide - 0.5) / (high + 0.5) <= crop.ratio[1] * (1 + 1e-9)).all()


@given(
    seed=seeds,
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**9), sides, sides), min_size=1, max_size=30),
)
def test_view_belongs_to_the_sample(seed: int, rows: list[tuple[int, int, int, int]]) -> None:
    """A sample has the same view alone and in any batch, at any row."""
    samples = Samples(*(np.array(column) for column in zip(*rows, strict=True)))
    together = train_views(USUAL, seed, samples)
    for row in range(len(rows)):
        one = slice(row, row + 1)
        alone = train_views(USUAL, seed, samples.only(one))
        assert together.start[one].tolist() == alone.start.tolist()
        assert together.end[one].tolist() == alone.end.tolist()


def test_views_change_with_epoch_and_seed() -> None:
    """Another epoch or seed gives nearly every sample another view."""
    first = views_of(USUAL, 500, 400, count=1000).start
    for other in (views_of(USUAL, 500, 400, epoch=1, count=1000), views_of(USUAL, 500, 400, seed=1, count=1000)):
        assert (first == other.start).all(1).mean() < 0.02


@pytest.mark.parametrize(("width", "height"), [(64, 64), (500, 375), (60, 240), (1000, 90)])
@pytest.mark.parametrize("crop", [USUAL, Crop((0.35, 1.0), (3 / 4, 4 / 3), 0.5)])
def test_boxes_are_distributed_as_torchvisions(crop: Crop, width: int, height: int) -> None:
    """Boxes have torchvision's distribution of place, sides and area (Kolmogorov-Smirnov at 1 in 10,000).

    With the narrow shapes, some or most of the draws use the central fallback.
    """
    count, rng = 4000, np.random.default_rng(0)
    top, left, high, wide, _ = boxes(views_of(crop, width, height, count=count))
    wanted = np.array([reference_box(crop, width, height, rng) for _ in range(count)], np.float64).T
    limit = 2.23 * math.sqrt(
        2 / count
    )  # two samples of `count`, alpha 1e-4; whole pixels tie, which makes a false alarm rarer still
    drawn = (top, left, high, wide, high * wide, top * width + left)
    reference = (*wanted, wanted[2] * wanted[3], wanted[0] * width + wanted[1])
    for ours, theirs in zip(drawn, reference, strict=True):
        assert distance(ours, theirs) < limit


def distance(one: Array, other: Array) -> float:
    """Return the largest difference between two empirical distribution functions."""
    points = np.union1d(one, other)
    below = [np.searchsorted(np.sort(values), points, side="right") / len(values) for values in (one, other)]
    return float(np.abs(below[0] - below[1]).max())


def test_the_comparison_sees_a_wrong_ratio() -> None:
    """The statistic used above distinguishes a uniform ratio from a log-uniform one."""
    crop, rng = Crop((0.08, 1.0), (1 / 4, 4.0), 0.5), np.random.default_rng(0)
    _, _, high, wide, _ = boxes(views_of(crop, 400, 400, count=4000))
    uniform = np.exp(np.log(rng.uniform(0.25, 4, 4000)) / 2)
    assert distance(np.sqrt(wide / high), uniform) > 2.23 * math.sqrt(2 / 4000)


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (1000, 10, (0, 493, 10, 13)),  # too wide: full height, ratio 4 / 3, in the middle
        (10, 1000, (493, 0, 13, 10)),  # too tall: full width, ratio 3 / 4
        (1, 1, (0, 0, 1, 1)),
    ],
)
def test_extreme_shapes_take_the_central_box(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    """If no try fits, the largest central box within the ratio bounds is used, as in torchvision."""
    crop = Crop((0.9, 1.0), (3 / 4, 4 / 3), 0.0)
    top, left, high, wide, _ = boxes(views_of(crop, width, height))
    assert {tuple(row) for row in np.stack([top, left, high, wide], 1).tolist()} == {box}
    assert reference_box(crop, width, height, np.random.default_rng(0)) == box


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_mirroring_exchanges_left_and_right(chance: float) -> None:
    """With the given probability, the left and right edges of a view are exchanged, and the box is the same."""
    plain = views_of(Crop((0.35, 1.0), (3 / 4, 4 / 3), 0.0), 300, 200, count=10_000)
    some = views_of(Crop((0.35, 1.0), (3 / 4, 4 / 3), chance), 300, 200, count=10_000)
    mirrored = boxes(some)[4]
    assert abs(mirrored.mean() - chance) <= 5 * math.sqrt(chance * (1 - chance) / 10_000)
    assert (some.start[:, 1] == np.where(mirrored, plain.end[:, 1], plain.start[:, 1])).all()
    assert (some.end[:, 1] == np.where(mirrored, plain.start[:, 1], plain.end[:, 1])).all()
    assert (some.start[:, 0] == plain.start[:, 0]).all()


@given(width=sides, height=sides, size=st.integers(1, 300), fraction=st.floats(0.05, 1))
def test_centre_view_is_that_of_torchvision(width: int, height: int, size: int, fraction: float) -> None:
    """The view is the square that CenterCrop cuts from the result of Resize, in pixels of the original image."""
    views = centre_views(fraction, size, np.array([width], np.int32), np.array([height], np.int32))
    top, left, high, wide, mirrored = (float(one[0]) for one in boxes(views))
    assert not mirrored
    short = round(size / fraction)
    for side, first, length in ((height, top, high), (width, left, wide)):
        resized = int(short * side / min(width, height))
        assert first == pytest.approx(round((resized - size) / 2) * side / resized, rel=1e-6)
        assert first + length == pytest.approx((round((resized - size) / 2) + size) * side / resized, rel=1e-6)


def test_whole_square_image_is_seen_whole() -> None:
    """With fraction 1 the view of a square image is the whole image."""
    views = centre_views(1.0, 32, np.array([64], np.int32), np.array([64], np.int32))
    assert (views.start.tolist(), views.end.tolist()) == ([[0, 0]], [[64, 64]])


@given(crops(), seeds, st.lists(st.tuples(sides, sides, st.integers(0, 50)), min_size=1, max_size=40))
def test_first_try_that_fits_is_taken(crop: Crop, seed: int, images: list[tuple[int, int, int]]) -> None:
    """The sides are those of the first draw that fits, as if draws were tried one after another."""
    widths, heights, epochs = (np.array(column) for column in zip(*images, strict=True))
    samples = Samples(epochs, np.arange(len(images)), widths.astype(np.int32), heights.astype(np.int32))
    limits = widths.astype(np.float64), heights.astype(np.float64)
    found = tried_sides(seed, Stream.CROP, samples, crop.area, crop.ratio, limits)
    for row, (width, height, epoch) in enumerate(images):
        assert (found[0][row], found[1][row]) == first_fit(crop, seed, row, width, height, epoch)


def first_fit(crop: Crop, seed: int, sample: int, width: int, height: int, epoch: int) -> tuple[float, float]:
    """Return the first width and height of ten draws that fits, or (0, 0) if none does."""
    low, high = np.log(crop.ratio)
    for attempt in range(10):
        share, shape = uniforms(seed, Stream.CROP, epoch, sample, attempt, count=2).ravel()
        pixels = (crop.area[0] + (crop.area[1] - crop.area[0]) * share) * (float(width) * height)
        ratio = np.exp(low + (high - low) * shape)
        wide, high_side = np.rint(np.sqrt(pixels * ratio)), np.rint(np.sqrt(pixels / ratio))
        if 0 < wide <= width and 0 < high_side <= height:
            return wide, high_side
    return 0.0, 0.0
