"""A run on local tars is not affected by fetching."""

from pathlib import Path
from typing import Any

from headrace.shards.shardset import ShardSet
from headrace.train.input.read_ahead import refuse_too_large


def test_local_set_is_never_too_large(tiny_set: Path) -> None:
    """A local set needs no space for staged tars."""
    shards: Any = ShardSet.open(tiny_set)
    refuse_too_large(shards, "")
    assert shards["train"].staged is None
    shards["train"].read_in_order(0, 10)
