"""The benchmark of parity on a few images: what must be equal is, what differs stays within its bounds."""

from pathlib import Path
from typing import Any

import pytest

from shards.shardset import ShardSet

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def tables(tiny_set: Path) -> list[Rows]:
    """The three tables, each by operation, of 24 images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))  # as it is when run as a script
        from benchmarks import parity

        found = parity.measured(ShardSet.open(tiny_set), 24, 0, None)
    return [{row["operation"]: row for row in rows} for rows in found.values()]


def test_operators_are_equal(tables: list[Rows]) -> None:
    """From the same resized images every operator gives Pillow's bytes, and so does decoding."""
    assert len(tables[1]) == 8
    assert {operation: row["max"] for operation, row in tables[1].items() if row["max"]} == {}
    assert tables[0]["decode (64 px)"]["max"] == 0


def test_resizing_stays_close(tables: list[Rows]) -> None:
    """The evaluation transform that enlarges is 1 level off at most, and crops 1 level in the mean."""
    for short, size in ((160, 160), (256, 224)):
        assert tables[0][f"evaluation: Resize({short}), CenterCrop({size})"]["max"] <= 1
    crops = {operation: row["mean"] for operation, row in tables[0].items() if "crop" in operation}
    assert len(crops) == 9
    assert max(crops.values()) < 1


def test_whole_path_stays_close(tables: list[Rows]) -> None:
    """From the JPEG to the step, with everything on, the mean difference is that of the crop: under 1 level."""
    assert tables[2]["everything"]["mean"] < 1
    assert len(tables[2]) == 10
