"""The benchmark of parity on a few images: what must be equal is, what differs stays within its bounds."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.input.parity.tables import pixel_tables
from headrace.shards.shardset import ShardSet

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def tables(tiny_set: Path) -> list[Rows]:
    """The three tables, each by operation, of 24 images."""
    found = pixel_tables(ShardSet.open(tiny_set), 24, 0)
    return [{row["operation"]: row for row in rows} for rows in found.values()]


def test_operators_are_equal(tables: list[Rows]) -> None:
    """From the same resized images every operator gives Pillow's bytes, and so does decoding."""
    assert len(tables[1]) == 8
    assert {operation: row["max"] for operation, row in tables[1].items() if row["max"]} == {}
    assert tables[0]["decode (64 px)"]["max"] == 0


def test_resizing_stays_close(tables: list[Rows]) -> None:
    """Crops are 1 level off at most and evaluation 2; in the graph for GPUs both are half a level off in the mean."""
    rows = {operation: row for operation, row in tables[0].items() if operation.startswith(("evaluation", "random"))}
    on_cpu = {operation: row for operation, row in rows.items() if not operation.endswith("on a GPU")}
    assert (len(rows), len(on_cpu)) == (24, 12)
    for operation, row in on_cpu.items():
        assert row["max"] <= (2 if operation.startswith("evaluation") else 1), operation
    assert max(row["mean"] for row in rows.values()) < 0.5


def test_whole_path_stays_close(tables: list[Rows]) -> None:
    """From the JPEG to the step, with everything on, the mean difference stays that of the crop: far under 1 level."""
    assert tables[2]["everything"]["mean"] < 0.2
    assert len(tables[2]) == 10
