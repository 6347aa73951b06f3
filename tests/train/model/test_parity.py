"""The parity benchmark on a few images: exact operations are equal, and others differ within bounds."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.input.parity.tables import pixel_tables
from headrace.shards.shardset import ShardSet

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def tables(tiny_set: Path) -> list[Rows]:
    """Return the three tables for 24 images, each by operation."""
    found = pixel_tables(ShardSet.open(tiny_set), 24, 0)
    return [{row["operation"]: row for row in rows} for rows in found.values()]


def test_operators_are_equal(tables: list[Rows]) -> None:
    """For the same resized images, every operator gives Pillow's bytes, and so does decoding."""
    assert len(tables[1]) == 8
    assert {operation: row["max"] for operation, row in tables[1].items() if row["max"]} == {}
    assert tables[0]["decode (64 px)"]["max"] == 0


def test_resizing_stays_close(tables: list[Rows]) -> None:
    """Crops are off by at most 1 level, evaluation by 2; in the graph for GPUs both are off by 0.5 on average."""
    rows = {operation: row for operation, row in tables[0].items() if operation.startswith(("evaluation", "random"))}
    on_cpu = {operation: row for operation, row in rows.items() if not operation.endswith("on a GPU")}
    assert (len(rows), len(on_cpu)) == (24, 12)
    for operation, row in on_cpu.items():
        assert row["max"] <= (2 if operation.startswith("evaluation") else 1), operation
    assert max(row["mean"] for row in rows.values()) < 0.5


def test_whole_path_stays_close(tables: list[Rows]) -> None:
    """From JPEG to step with all augmentation, the mean difference is that of the crop: far below 1 level."""
    assert tables[2]["everything"]["mean"] < 0.2
    assert len(tables[2]) == 10
