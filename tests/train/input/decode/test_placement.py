from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.shards.errors import UsageError
from headrace.shards.shardset import ShardSet
from headrace.train.input.decode.placement import LARGE_PIXELS, by_size, place_decoder
from headrace.train.machine.device import Accelerator


class Sides:
    """Images of which only the sizes are known."""

    def __init__(self, sides: list[tuple[int, int]]) -> None:
        self.heights, self.widths = np.array(sides, np.int32).T

    def __len__(self) -> int:
        return len(self.heights)

    def file_sizes(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return 1,500 bytes for each file."""
        return np.full(len(ids), 1500, np.int32)


@given(st.lists(st.tuples(st.integers(1, 30_000), st.integers(1, 30_000)), min_size=1))
def test_gpu_decodes_images_that_are_large_on_average(sides: list[tuple[int, int]]) -> None:
    """A GPU decodes images that are large on average, and the reason gives the figures."""
    mean = sum(height * width for height, width in sides) / len(sides)
    found = by_size(Sides(sides))  # type: ignore[arg-type]  # nobody reads their bytes here
    assert found.where == ("mixed" if mean > LARGE_PIXELS else "cpu")
    assert f"{mean:,.0f} pixels" in str(found)
    assert "1.5 kB" in str(found)


def test_what_is_asked_for_comes_first(tiny_set: Path) -> None:
    """A requested place is used, but on a CPU only "cpu" is possible."""
    split, cpu = ShardSet.open(tiny_set).split("train"), Accelerator(None)
    assert place_decoder("cpu", split, cpu) == place_decoder("auto", split, cpu) == ("cpu", "")
    with pytest.raises(UsageError, match="needs a GPU"):
        place_decoder("mixed", split, cpu)
    assert by_size(split).where == "cpu"
