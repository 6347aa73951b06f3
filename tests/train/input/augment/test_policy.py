"""Draws for a sample are within their ranges, uniform, and independent of the batch that the sample is in."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.train.input.augment.affine import Affine
from headrace.train.input.augment.erasing import Erasing
from headrace.train.input.augment.jitter import Jitter
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.policy import Policy, draw_changes
from headrace.train.input.augment.trivial_augment import BINS, CHOICES, trivial_draws
from headrace.train.input.augment.views import Samples
from headrace.train.input.augment.warp import inverse_matrix
from headrace.train.recipe.sections import Augment
from tests.train.input.augment.test_views import distance

Array = NDArray[Any]
EVERYTHING = Policy(
    Affine(30, 20, 0.2, (0.8, 1.25)), Jitter(0.4, 0.3, 0.2, 0.1), trivial=True, erasing=Erasing(0.5, colour=(1, 2, 3))
)
seeds = st.integers(0, 2**63 - 1)
MANY = 20_000


def samples(count: int = MANY, epoch: int = 0) -> Samples:
    """Return the first samples of a split in one epoch."""
    sides = np.full(count, 64, np.int32)
    return Samples(np.full(count, epoch), np.arange(count), sides, sides)


def by_row(changes: tuple[Change, ...], count: int) -> list[list[tuple[Op, list[float]]]]:
    """Return the changes of each sample of a group, in order."""
    found: list[list[tuple[Op, list[float]]]] = [[] for _ in range(count)]
    for change in changes:
        for row, values in zip(change.rows.tolist(), change.values.tolist(), strict=True):
            found[row].append((change.op, values))
    return found


def uniform(values: Array, low: float, high: float) -> None:
    """Whether values are in [low, high] and uniformly distributed (Kolmogorov-Smirnov at 1 in 10,000)."""
    assert low <= values.min() <= values.max() <= high
    grid = np.linspace(low, high, 100_000)
    assert distance(values, grid) < 2.23 / math.sqrt(len(values))


@given(
    seed=seeds,
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**9)), min_size=1, max_size=6),
    size=st.sampled_from([32, 64, 224]),
)
def test_changes_belong_to_the_sample(seed: int, rows: list[tuple[int, int]], size: int) -> None:
    """A sample gets the same changes alone and in any group, at any row, also in a group with two epochs."""
    epochs, ids = (np.array(column) for column in zip(*rows, strict=True))
    group = samples(len(rows))._replace(epochs=epochs, ids=ids)
    together = by_row(draw_changes(EVERYTHING, seed, group, size), len(rows))
    for row in range(len(rows)):
        alone = draw_changes(EVERYTHING, seed, group.only(slice(row, row + 1)), size)
        assert together[row] == by_row(alone, 1)[0]


@given(seed=seeds, count=st.integers(1, 40))
def test_rows_are_of_the_group(seed: int, count: int) -> None:
    """A change names rows of its group, each at most once, with a row of values for each."""
    for change in draw_changes(EVERYTHING, seed, samples(count), 64):
        assert len(change.values) == len(change.rows) > 0
        assert sorted(set(change.rows.tolist())) == change.rows.tolist()
        assert 0 <= change.rows[0] <= change.rows[-1] < count


def drawn(**settings: Any) -> set[Op]:
    """Return the operators that a recipe with these settings draws."""
    return {change.op for change in draw_changes(Policy.of(Augment(**settings), (0, 0, 0)), 0, samples(), 64)}


def test_nothing_is_done_for_what_is_off() -> None:
    """The recipe's defaults draw nothing, and each key turns on only its own operators."""
    assert drawn() == set()
    for warp in ({"rotate": 1}, {"shear": 1}, {"translate": 0.1}, {"scale": (0.5, 1)}):
        assert drawn(**warp) == {Op.WARP}
    assert drawn(brightness=1) == {Op.BRIGHTNESS}
    assert drawn(contrast=0.1) == {Op.CONTRAST}
    assert drawn(saturation=0.1) == {Op.SATURATION}
    assert drawn(hue=0.5) == {Op.HUE}
    assert drawn(trivial_augment=True) == set(Op) - {Op.HUE, Op.ERASE}
    assert drawn(erase=0.5) == {Op.ERASE}


def test_changes_differ_between_epochs_and_seeds() -> None:
    """Another epoch or seed gives nearly every sample other values."""
    first = by_row(draw_changes(EVERYTHING, 0, samples(500), 64), 500)
    for seed, epoch in ((0, 1), (1, 0)):
        other = by_row(draw_changes(EVERYTHING, seed, samples(500, epoch=epoch), 64), 500)
        assert sum(one == another for one, another in zip(first, other, strict=True)) < 10


def factors(policy: Policy, op: Op) -> Array:
    """Return the first value of `op` for every sample, in the order of samples."""
    found = np.full(MANY, np.nan)
    for change in draw_changes(policy, 3, samples(), 64):
        if change.op is op:
            found[change.rows] = change.values[:, 0]
    return found


def test_colour_factors_are_uniform_and_independent() -> None:
    """Each factor is uniform around 1, the hue around 0, and they are independent of one another."""
    jitter = Policy(jitter=Jitter(0.4, 1.0, 0.2, 0.5))
    brightness, contrast, saturation = (factors(jitter, op) for op in (Op.BRIGHTNESS, Op.CONTRAST, Op.SATURATION))
    hue = factors(jitter, Op.HUE)
    uniform(brightness, 0.6, 1.4)
    uniform(contrast, 0, 2)
    uniform(saturation, 0.8, 1.2)
    assert set(hue.tolist()) == {*range(128), *range(129, 256)}  # up to 127 steps either way
    uniform(hue[hue > 0] + np.linspace(-0.5, 0.5, int((hue > 0).sum())), 0.5, 255.5)
    correlations = np.corrcoef([brightness, contrast, saturation, np.cos(hue * math.tau / 256)])
    assert np.abs(correlations - np.eye(4)).max() < 5 / math.sqrt(MANY)


def test_colour_operators_come_in_every_order() -> None:
    """Each of the 24 orders of four operators is equally likely (within 5 standard deviations), as in ColorJitter."""
    place = np.zeros((MANY, 4), np.int64)
    ops = (Op.BRIGHTNESS, Op.CONTRAST, Op.SATURATION, Op.HUE)
    for number, change in enumerate(draw_changes(Policy(jitter=Jitter(0.4, 0.4, 0.4, 0.4)), 0, samples(), 64)):
        place[change.rows, ops.index(change.op)] = number // 4
    assert (np.sort(place, 1) == range(4)).all()
    counts = np.unique(place @ 4 ** np.arange(4), return_counts=True)[1]
    assert len(counts) == 24
    assert np.abs(counts - MANY / 24).max() < 5 * math.sqrt(MANY / 24)


def test_a_factor_stays_when_another_operator_is_turned_on() -> None:
    """Turning saturation on does not change any sample's brightness factor."""
    alone = factors(Policy(jitter=Jitter(brightness=0.4)), Op.BRIGHTNESS)
    assert (factors(Policy(jitter=Jitter(brightness=0.4, saturation=0.4)), Op.BRIGHTNESS) == alone).all()


def torchvisions_matrix(
    centre: float, angle: float, translate: tuple[float, float], scale: float, shear: tuple[float, float]
) -> list[float]:
    """Compute torchvision's `_get_inverse_affine_matrix` in another way: multiplied out and inverted."""
    turn, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    rotation = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    shear_y = np.array([[1, 0, 0], [-math.tan(sy), 1, 0], [0, 0, 1]])
    shear_x = np.array([[1, -math.tan(sx), 0], [0, 1, 0], [0, 0, 1]])
    to, back = np.eye(3), np.eye(3)
    to[:2, 2], back[:2, 2] = -centre, centre
    back[:2, 2] += translate
    forth = back @ rotation @ shear_y @ shear_x @ np.diag([scale, scale, 1]) @ to
    return [float(x) for x in np.linalg.inv(forth)[:2].ravel()]


degrees = st.floats(-60, 60)


@given(
    centre=st.sampled_from([0.0, 16.0, 32.0]),
    angle=st.floats(-180, 180),
    translate=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    scale=st.floats(0.5, 2),
    shear=st.tuples(degrees, degrees),
)
def test_matrix_is_the_inverse_of_the_movements(
    centre: float, angle: float, translate: tuple[float, float], scale: float, shear: tuple[float, float]
) -> None:
    """The matrix undoes scale, shear along x, shear along y, rotation about the centre and shift, in that order."""
    ours = inverse_matrix(centre, angle=angle, translate=translate, scale=scale, shear=shear)
    assert ours[0].tolist() == pytest.approx(torchvisions_matrix(centre, angle, translate, scale, shear), abs=1e-6)


def test_affine_ranges_are_kept() -> None:
    """Angle, scale and shift, computed from the matrices, are uniform in their ranges, and shifts are whole pixels."""
    (change,) = draw_changes(Policy(Affine(rotate=30, scale=(0.8, 1.25))), 0, samples(), 64)
    a, b, _, d, e, _ = change.values.T
    assert np.abs(a - e).max() < 1e-4
    assert np.abs(b + d).max() < 1e-4
    uniform(np.degrees(np.arctan2(b, a)).clip(-30, 30), -30, 30)
    uniform((1 / np.hypot(a, b)).clip(0.8, 1.25), 0.8, 1.25)
    (change,) = draw_changes(Policy(Affine(translate=0.25)), 0, samples(), 64)
    shifts = -change.values[:, [2, 5]]
    for column in shifts.T:
        assert set(column.tolist()) == set(range(-16, 17))
        uniform(column[np.abs(column) < 16] + np.linspace(-0.5, 0.5, int((np.abs(column) < 16).sum())), -15.5, 15.5)
    assert abs(np.corrcoef(shifts[:, 0], shifts[:, 1]).item(0, 1)) < 5 / math.sqrt(MANY)
    (change,) = draw_changes(Policy(Affine(shear=20)), 0, samples(), 64)
    uniform(np.degrees(np.arctan(change.values[:, 1])).clip(-20, 20), -20, 20)


def even(counts: Array) -> bool:
    """Whether counts agree with equal probabilities, within 5 standard deviations."""
    mean = counts.mean()
    return bool(np.abs(counts - mean).max() < 5 * math.sqrt(mean))


def test_trivial_augment_draws_uniformly() -> None:
    """All 14 operators, all 31 strengths and both signs are equally likely, and no other strength is drawn."""
    choice, strength = trivial_draws(0, samples())
    assert even(np.bincount(choice, minlength=14))
    assert choice.max() == 13
    strong = np.isin(choice, [number for number, one in enumerate(CHOICES) if len(set(one.strengths)) == BINS])
    bins = [
        np.flatnonzero(CHOICES[c].strengths == abs(s))[0] for c, s in zip(choice[strong], strength[strong], strict=True)
    ]
    assert even(np.bincount(bins, minlength=BINS))
    signed = np.array([one.signed for one in CHOICES])[choice] & (strength != 0)
    assert even(np.bincount(strength[signed] < 0))
    assert (strength[~signed] >= 0).all()


def test_trivial_augment_has_torchvisions_space() -> None:
    """Names, their order and the largest strengths agree with TrivialAugmentWide._augmentation_space."""
    assert {one.name: float(one.strengths[-1]) for one in CHOICES} == {
        "Identity": 0,
        "ShearX": 0.99,
        "ShearY": 0.99,
        "TranslateX": 32,
        "TranslateY": 32,
        "Rotate": 135,
        "Brightness": 0.99,
        "Color": 0.99,
        "Contrast": 0.99,
        "Sharpness": 0.99,
        "Posterize": 2,
        "Solarize": 0,
        "AutoContrast": 0,
        "Equalize": 0,
    }
    by_name = {one.name: one.strengths for one in CHOICES}
    assert by_name["Posterize"].tolist() == [8] * 3 + [7] * 5 + [6] * 5 + [5] * 5 + [4] * 5 + [3] * 5 + [2] * 3
    assert by_name["Solarize"][:3].tolist() == [255, 246.5, 238]


def reference_erasing(erasing: Erasing, side: int, rng: np.random.Generator) -> tuple[int, int, int, int] | None:
    """Compute torchvision's RandomErasing.get_params line by line with NumPy's generator: (i, j, h, w)."""
    log_ratio = math.log(erasing.ratio[0]), math.log(erasing.ratio[1])
    for _ in range(10):
        area = side * side * rng.uniform(*erasing.area)
        ratio = math.exp(rng.uniform(*log_ratio))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < side and w < side:
            return int(rng.integers(0, side - h + 1)), int(rng.integers(0, side - w + 1)), h, w
    return None


@pytest.mark.parametrize("erasing", [Erasing(1.0), Erasing(1.0, (0.5, 1.0), (0.3, 3.3))])
def test_erased_boxes_are_distributed_as_torchvisions(erasing: Erasing) -> None:
    """Boxes have torchvision's distribution of place, sides and area, and as many images get no box.

    With the second setting, about every twentieth image has no box that fits in ten tries.
    """
    count, rng = 4000, np.random.default_rng(0)
    (change,) = draw_changes(Policy(erasing=erasing), 0, samples(count), 64)
    top, left, bottom, right = change.values[:, :4].T
    wanted = [box for box in (reference_erasing(erasing, 64, rng) for _ in range(count)) if box]
    assert abs(len(wanted) - len(change.rows)) < 5 * math.sqrt(2 * (count - len(wanted)) + 1)
    assert (change.values[:, :4] == change.values[:, :4].astype(int)).all()
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= 64
    reference = np.array(wanted, np.float64).T
    pairs = zip((top, left, bottom - top, right - left), reference, strict=True)
    for ours, theirs in [*pairs, ((bottom - top) * (right - left), reference[2] * reference[3])]:
        assert distance(ours, theirs) < 2.23 * math.sqrt(2 / len(wanted))


@pytest.mark.parametrize("chance", [0.1, 0.5, 1.0])
def test_images_are_erased_by_chance(chance: float) -> None:
    """The given share of the images gets a box in the given colour."""
    (change,) = draw_changes(Policy(erasing=Erasing(chance, colour=(124, 116, 104))), 0, samples(), 64)
    assert abs(len(change.rows) / MANY - chance) <= 5 * math.sqrt(chance * (1 - chance) / MANY)
    assert (change.values[:, 4:] == (124, 116, 104)).all()


def test_erased_pixels_take_the_networks_mean() -> None:
    """A recipe's erased pixels have the mean that normalisation subtracts, to the nearest grey level."""
    policy = Policy.of(Augment(erase=0.3), (123.675, 116.28, 103.53))
    assert policy.erasing == Erasing(0.3, (0.02, 0.33), (0.3, 3.3), (124, 116, 104))
