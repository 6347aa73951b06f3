"""Images as the step gets them, through DALI and all changes, depend only on (seed, epoch, sample id)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.input.parity import pillow
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.augment.policy import Policy
from headrace.train.input.feed import Feed
from headrace.train.input.plans import TrainPlans
from headrace.train.recipe.sections import Augment
from tests.train.input.augment.test_policy import EVERYTHING
from tests.train.pictures import CPU, by_sample, fed, pipeline, training


@pytest.fixture
def split(tiny_set: Path) -> Split:
    """Return the 480 training samples of the tiny set."""
    return ShardSet.open(tiny_set).split("train")


def plans(split: Split, *, batch: int = 48, group: int = 16, policy: Policy = EVERYTHING) -> TrainPlans:
    """Return plans with every change on."""
    return training(split, batch=batch, group=group, policy=policy)


def test_pixels_belong_to_the_sample(split: Split) -> None:
    """With every change on, the pixels of a (sample, epoch) are the same in any batch, order, thread count and restart.

    The second stream has other groups in reverse order, begins in the middle, and crosses into the next epoch.
    """
    plain = fed(pipeline(split), plans(split).stream(0, 12, range(3)))
    assert set(plain) >= {(0, one) for one in range(480)}
    others = plans(split, batch=70, group=7)
    restarted = fed(pipeline(split, batch=7, threads=3), others.stream(3, 9, range(9, -1, -1)))
    common = plain.keys() & restarted.keys()
    assert len(common) > 300
    assert {epoch for epoch, _ in common} == {0, 1}
    assert all((plain[key] == restarted[key]).all() for key in common)


def test_step_gets_what_pillow_makes_of_the_resized_image(split: Split) -> None:
    """The feed yields the pipeline's image with the plan's changes, or the image itself if there are none."""
    resized = by_sample(pipeline(split), plans(split).stream(0, 2, range(3)))
    augmented = fed(pipeline(split), plans(split).stream(0, 2, range(3)))
    untouched = fed(pipeline(split), plans(split, policy=Policy()).stream(0, 2, range(3)))
    for plan in plans(split).stream(0, 2, range(3)):
        keys = list(zip(plan.epochs.tolist(), plan.ids.tolist(), strict=True))
        before = np.stack([resized[key] for key in keys])
        assert (np.stack([augmented[key] for key in keys]) == pillow.changed_by_pillow(before, plan.changes)).all()
        assert (np.stack([untouched[key] for key in keys]) == before).all()


@pytest.mark.parametrize("size", [32, 64, 96])
@pytest.mark.parametrize(
    "settings",
    [
        {"rotate": 180, "shear": 80, "translate": 1, "scale": (0.1, 10)},
        {"brightness": 1, "hue": 0.5},
        {"contrast": 1, "saturation": 1},
        {"trivial_augment": True},
        {"erase": 1, "erase_area": (1, 1), "erase_ratio": (0.01, 100)},
        {"rotate": 10, "brightness": 0.2, "trivial_augment": True, "erase": 0.2, "mixup": 0.2, "cutmix": 1},
    ],
)
def test_any_recipe_gives_images(split: Split, settings: dict[str, Any], size: int) -> None:
    """Parts of the section, alone and together, at the ends of their ranges, give whole batches at any size."""
    policy = Policy.of(Augment(**settings), (124, 116, 104))
    stream = training(split, size=size, policy=policy).stream(0, 2, range(3))
    with Feed(pipeline(split), stream, CPU) as feed:
        assert [tuple(batch.images.shape) for batch in feed] == [(16, size, size, 3)] * 6
