"""Turns the rows of numbers that an evaluation collects into predictions with sample keys and class names."""

from contextlib import closing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards.shardset import ShardSet
from headrace.train.record.predictions import TOP, Origin, Predictions


class Source(NamedTuple):
    """The source of evaluated weights: the checkpoint's SHA-256 in hex, its step, and whether weights are averaged."""

    checkpoint: str
    step: int
    averaged: bool


def predictions_of(rows: NDArray[np.float64], shards: ShardSet, name: str, source: Source) -> Predictions:
    """Return the predictions for the split `name`; `rows` are the rows of numbers that `Scores.total` returns.

    Raises DataError if the split's index is damaged.
    """
    top = min(TOP, len(shards.class_ids))
    ids = rows[:, 0].astype(np.int64)
    with closing(shards.split(name)) as split:
        keys = [split.keys[one] for one in ids.tolist()]
    return Predictions(
        Origin(name, shards.digest, *source, shards.class_ids, shards.class_names),
        ids=ids,
        keys=keys,
        labels=rows[:, 1].astype(np.int64),
        losses=rows[:, 2].copy(),
        top_labels=rows[:, 3 : 3 + top].astype(np.int64),
        top_probabilities=rows[:, 3 + top :].astype(np.float32),
    )
