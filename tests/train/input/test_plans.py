"""Plans that are drawn together equal plans that are drawn one by one."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.shards.order import Order, Windows
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.augment.mixing import Mixing
from headrace.train.input.plans import TrainPlans
from tests.train.input.augment.test_policy import EVERYTHING
from tests.train.pictures import training


@pytest.fixture(scope="module")
def split(tiny_set: Path) -> Split:
    """Return the 480 training samples of the tiny set."""
    return ShardSet.open(tiny_set).split("train")


def flat(thing: Any) -> Iterator[Any]:
    """Return all numbers and arrays in a plan, with their types."""
    if isinstance(thing, tuple):
        for one in thing:
            yield from flat(one)
    elif is_dataclass(thing):
        yield from flat(tuple(getattr(thing, field.name) for field in fields(thing)))
    elif isinstance(thing, np.ndarray):
        yield thing.dtype, thing.shape, thing.tolist()
    else:
        yield type(thing), thing


def everything(split: Split, group: int, windowed: bool) -> TrainPlans:
    """Return plans with all augmentations of a recipe, and a size that changes in step 3."""
    windows = Windows(1, split.shard_sizes) if windowed else None
    return replace(
        training(split, batch=96, group=group, policy=EVERYTHING),
        order=Order(len(split), 5, windows),
        sizes=((0, 32), (3, 48)),
        mixing=Mixing(mixup=0.2, cutmix=1.0),
    )


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([4, 16, 48, 96]), st.booleans(), st.integers(0, 9), st.integers(0, 9), st.integers(1, 3))
def test_stream_is_its_plans(split: Split, group: int, windowed: bool, first: int, last: int, ranks: int) -> None:
    """Plans are equal for any range of steps of any rank, across epochs, windows and sizes, in groups of any size."""
    plans = everything(split, group, windowed)
    groups = plans.steps.groups_of(ranks, ranks - 1)
    together = [list(flat(plan)) for plan in plans.stream(first, last, groups)]
    one_by_one = everything(split, group, windowed)
    assert together == [list(flat(one_by_one.plan(step, one))) for step in range(first, last) for one in groups]
