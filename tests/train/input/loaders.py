"""Loaders of small images, for tests of `headrace.Loader`."""

from pathlib import Path
from typing import Any

from headrace.train.input.loader import Loader

MIXED = {"mixup": 0.5, "cutmix": 1.0, "crop_area": [0.3, 1.0]}
SIZE = 32


def load(shards: Path, loaders: list[Loader], split: str = "train", **options: Any) -> Loader:
    """Return a loader of small images with one thread, and add it to `loaders`."""
    values: dict[str, Any] = {"batch": 12, "size": SIZE, "device": "cpu", "threads": 1, **options}
    loaders.append(Loader(shards, split, **values))
    return loaders[-1]
