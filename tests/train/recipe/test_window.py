import pytest

from headrace.shards.order import Order, Windows
from headrace.train.recipe.window import IN_A_WINDOW, LARGE, window_for


@pytest.mark.parametrize("samples", [1, 100_000, 1_281_167, 9_999_999, LARGE])
def test_sets_up_to_ten_million_have_none(samples: int) -> None:
    """A set of up to ten million images is shuffled as a whole."""
    assert window_for(samples, 5_000) is None


@pytest.mark.parametrize(
    ("samples", "shards", "window"),
    [
        (10_000_001, 512, 54),
        (14_197_122, 5_100, 377),
        (100_000_000, 43_672, 458),
        (1_000_000_000, 430_000, 451),
        (1_000_000_000, 512, 8),
        (20_000_000, 9, 8),
        (20_000_000, 8, None),
        (20_000_000, 1, None),
    ],
)
def test_a_window_has_a_million_images_and_eight_shards(samples: int, shards: int, window: int | None) -> None:
    """A set with no more shards than a window needs is shuffled as a whole."""
    assert window_for(samples, shards) == window
    if window is not None:
        assert window * (samples / shards) >= IN_A_WINDOW
        order = Order(samples // shards * shards, 0, Windows(window, (samples // shards,) * shards))
        assert len(order.positions(0, 256).ids) == 256
