"""The division of a CPU's threads among lanes."""

import pytest

from headrace.train.input.decode.cpu import lanes_on_cpu

TINY, LARGE = 256 * 64 * 64 * 3, 256 * 500 * 375 * 3  # bytes of a decoded batch


@pytest.mark.parametrize(
    ("threads", "batch_bytes", "lanes", "each"),
    [(1, TINY, 1, 1), (2, TINY, 2, 1), (16, TINY, 16, 1), (1, LARGE, 1, 1), (2, LARGE, 2, 1), (8, LARGE, 3, 3)],
)
def test_lanes_take_what_memory_allows(threads: int, batch_bytes: int, lanes: int, each: int) -> None:
    """For small images each thread has a lane; for large images there are fewer lanes, with about a gigabyte in all."""
    assert lanes_on_cpu(threads, batch_bytes) == (lanes, each)


@pytest.mark.parametrize("threads", range(1, 20))
@pytest.mark.parametrize("batch_bytes", [1, TINY, LARGE, 100 * LARGE])
def test_every_thread_has_work(threads: int, batch_bytes: int) -> None:
    """Lanes have at least as many threads as there are, and exceed that number by less than the number of lanes."""
    lanes, each = lanes_on_cpu(threads, batch_bytes)
    assert threads <= lanes * each < threads + lanes
