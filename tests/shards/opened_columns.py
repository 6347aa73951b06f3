"""The columns of a split as a new process opens them, and what they are compared with."""

from pathlib import Path
from typing import Any

import numpy as np

from headrace.shards.columns import Columns, read_columns
from headrace.shards.manifest import SplitInfo, load
from headrace.shards.mapped import Mapped

SAMPLES = 300_000
"""A split of this many samples is large: its columns are mapped."""


def opened(root: Path, name: str = "train") -> tuple[Mapped, Columns]:
    """The columns of a split as a new process opens them."""
    ours = Mapped()
    return ours, ours.open(root, info(root, name), load(root))


def info(root: Path, name: str = "train") -> SplitInfo:
    """The entry of a split in the manifest."""
    return next(split for split in load(root).splits if split.name == name)


def same(found: Columns, root: Path, name: str = "train") -> bool:
    """Whether these columns equal those in the index."""
    expected = read_columns(root, info(root, name), load(root))
    pairs: list[tuple[Any, Any]] = list(zip(found, expected, strict=True))
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)


def is_mapped(columns: Columns) -> bool:
    """Whether the arrays are views of a file."""
    return not any(column.flags.writeable or column.flags.owndata for column in columns)
