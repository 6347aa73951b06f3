"""What `headrace inspect` prints of a set, in this process."""

from pathlib import Path

from headrace.prep.figures import report
from headrace.shards.inspection import inspect
from headrace.shards.shardset import ShardSet


def figures_of(root: Path) -> str:
    """The text."""
    shards = ShardSet.open(root)
    return report(shards, inspect(shards))
