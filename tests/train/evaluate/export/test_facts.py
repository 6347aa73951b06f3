"""The central crop in the terms of other libraries."""

import math

import numpy as np

from headrace.train.evaluate.export.facts import crop_pct
from headrace.train.input.augment.views import centre_views


def test_timm_resizes_to_our_side_for_every_size_and_crop() -> None:
    """For all sizes and crops of a recipe that change the side, floor(size / crop_pct) is our side."""
    sides, one = set(), np.array([64], np.int32)
    for size in range(32, 1025, 32):
        for crop in np.linspace(0.1, 1.0, 901).tolist():
            sides.add((size, round(size / crop)))
        for crop in (0.1, 0.875, 224 / 256, 0.9, 1.0):
            assert centre_views(crop, size, one, one).short == round(size / crop)
        sides |= {(size, short) for short in range(size, 10 * size + 1)}
    wrong = [(size, short) for size, short in sides if math.floor(size / crop_pct(size, short)) != short]
    assert wrong == []
    assert all(0 < crop_pct(size, short) <= 1 for size, short in sides)


def test_whole_images_are_whole() -> None:
    """A crop of 1 stays 1, and common crops keep their usual values if these are right."""
    assert crop_pct(224, 224) == 1.0
    assert crop_pct(224, 256) == 0.875
