"""The size limit between the two decoders changes neither pixels nor errors."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import headrace
from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.augment.views import Crop, Samples, Views, centre_views, train_views
from headrace.train.input.decode import turbo
from headrace.train.input.decode.cpu import OnCpu
from headrace.train.input.decode.wanted import Wanted
from headrace.train.input.plans import Plan
from tests.prep.odd_jpegs import odd_jpeg
from tests.train import pictures
from tests.train.input.decode.test_regions import KINDS, OTHER_SAMPLINGS, coloured
from tests.train.pictures import Pixels, picture, split_of

CROP = Crop((0.05, 1.0), (0.5, 2.0), 0.5)
BORDERS = (0, 33 * 60, turbo.MOST_PIXELS, 1 << 40)


def made(split: Split, ids: list[int], views: Views) -> Pixels | str:
    """Return the images of these samples, or the text of the error."""
    numbers = np.array(ids)
    plan = Plan(0, 0, 0 * numbers, 0 * numbers, Wanted(numbers, views, 32))
    try:
        return OnCpu(split, len(ids), 1)(plan).numpy()
    except HeadraceError as error:
        return str(error)


def views_of(split: Split, ids: list[int], epoch: int) -> tuple[Views, Views]:
    """Return random views of these samples, and evaluation views."""
    numbers = np.array(ids)
    widths, heights = split.widths[numbers], split.heights[numbers]
    samples = Samples(np.full(len(ids), epoch), numbers, widths, heights)
    return train_views(CROP, 3, samples), centre_views(0.875, 32, widths, heights)


def of_all_borders(split: Split, ids: list[int], views: Views) -> Iterator[Pixels | str]:
    """Return the same batch for several limits."""
    for border in BORDERS:
        with mock.patch.object(turbo, "MOST_PIXELS", border):
            yield made(split, ids, views)


def equal(results: list[Pixels | str]) -> bool:
    """Whether all results are the same images or the same error."""
    return all(type(one) is type(results[0]) and np.array_equal(one, results[0]) for one in results)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Return every kind of JPEG, small and large in turn, and odd ones that prep admits."""
    kinds = [*KINDS, *OTHER_SAMPLINGS, "L"]
    sides = [(33, 60), (300, 180), (64, 64), (129, 128), (1, 1), (500, 375)]
    jpegs = [coloured(*sides[number % len(sides)], kind) for number, kind in enumerate(5 * kinds)]
    return split_of(jpegs + [odd_jpeg(number).data for number in range(60)], tmp_path_factory.mktemp("mixed"))


@pytest.mark.parametrize("epoch", range(4))
def test_borders_change_no_pixel(mixed: Split, epoch: int) -> None:
    """In a batch of all kinds, in any order, every image is in its row, whichever decoder made it."""
    ids = np.random.default_rng(epoch).permutation(len(mixed)).tolist()
    for views in views_of(mixed, ids, epoch):
        results = list(of_all_borders(mixed, ids, views))
        assert equal(results)
        for row in (0, len(ids) // 2, len(ids) - 1):
            alone = made(mixed, [ids[row]], views.only(slice(row, row + 1)))
            assert np.array_equal(results[2][row], alone[0])


def flipped(jpeg: Pixels, seed: int) -> Pixels:
    """Return the file with some bits of the scan flipped."""
    chance, harmed = np.random.default_rng(seed), jpeg.copy()
    scan = jpeg.tobytes().index(b"\xff\xda") + 14
    for place in chance.integers(scan, len(jpeg) - 2, chance.integers(1, 4)):
        harmed[place] ^= 1 << chance.integers(8)
    return harmed


def cut(jpeg: Pixels, seed: int) -> Pixels:
    """Return the file with a truncated scan, with or without the end-of-image marker."""
    chance, scan = np.random.default_rng(seed), jpeg.tobytes().index(b"\xff\xda") + 14
    kept = jpeg[: chance.integers(scan, len(jpeg) - 2)]
    return np.append(kept, np.array([0xFF, 0xD9], np.uint8)) if seed % 2 else kept


def longer(jpeg: Pixels, seed: int) -> Pixels:
    """Return the file with bytes after the image."""
    return np.append(jpeg, np.random.default_rng(seed).integers(0, 256, 50, np.uint8))


def other(_: Pixels, seed: int) -> Pixels:
    """Return another image, which is smaller, larger or of the same size."""
    sides = [(32, 128), (64, 64), (80, 64), (200, 200), (63, 64)][seed % 5]
    return np.frombuffer(picture(*sides), np.uint8)


@pytest.mark.parametrize("harm", [flipped, cut, longer, other], ids=lambda harm: harm.__name__)
def test_borders_change_no_error(tiny_set: Path, tmp_path: Path, harm: Callable[[Pixels, int], Pixels]) -> None:
    """A damaged file among sound ones gives the same pixels, or the same error with its name, for any limit."""
    errors = 0
    for seed in range(12):
        split = ShardSet.open(tiny_set).split("train")
        pictures.spoiled(split, 3, lambda jpeg, seed=seed: harm(jpeg, seed), tmp_path)  # type: ignore[misc]
        for views in views_of(split, [1, 2, 3, 4], seed):
            results = list(of_all_borders(split, [1, 2, 3, 4], views))
            assert equal(results)
            if isinstance(results[0], str):
                errors += 1
                assert "key 000000003" in results[0]
        split.close()
    assert (errors > 0) == (harm in (cut, other))


def epoch_of(shards: Path, border: int) -> str:
    """Return a hash of all batches of a training epoch with this limit."""
    made, augment = sha256(), {"crop_area": (0.08, 1.0), "crop_ratio": (0.75, 4 / 3), "flip": 0.5}
    options: dict[str, Any] = {"batch": 250, "size": 64, "augment": augment, "device": "cpu", "normalise": None}
    with mock.patch.object(turbo, "MOST_PIXELS", border), headrace.Loader(shards, **options) as loader:
        for images, targets in loader:
            made.update(images.permute(0, 2, 3, 1).numpy().tobytes())
            made.update(targets.numpy().tobytes())
    return made.hexdigest()


@pytest.mark.real
def test_an_epoch_has_the_same_bits(real_set: Path) -> None:
    """All batches of TinyImageNet equal those that DALI alone makes."""
    assert epoch_of(real_set, turbo.MOST_PIXELS) == epoch_of(real_set, 0)
