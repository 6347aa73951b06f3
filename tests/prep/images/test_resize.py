import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headrace.prep.images.resize import fitting, shrink


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000))
def test_longer_side_fits(width: int, height: int, limit: int) -> None:
    """The longer side becomes the limit, and the other keeps the proportion to the nearest pixel."""
    new = fitting(width, height, limit)
    assert max(new) == limit
    assert abs(min(new) - max(1, min(width, height) * limit / max(width, height))) <= 0.5


@pytest.mark.parametrize("size", [(300, 200), (97, 351), (65, 64), (64, 1)])
def test_close_to_the_usual_filter(size: tuple[int, int]) -> None:
    """The result differs from PIL's reducing bilinear filter only by rounding."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pixels = np.stack([x * 7 % 256, y * 5 % 256, (x * y) % 256], -1).astype(np.uint8)
    small = shrink(pixels, 48)
    expected = Image.fromarray(pixels).resize(small.shape[1::-1], Image.Resampling.BILINEAR)
    assert np.abs(small.astype(int) - np.asarray(expected).astype(int)).max() <= 2


def test_flat_stays_flat() -> None:
    """A plain colour keeps its exact value."""
    assert (shrink(np.full((333, 222, 3), 137, np.uint8), 50) == 137).all()
