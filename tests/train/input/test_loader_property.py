"""For any batch, group, ranks, seed and break point, ranks get exactly the plan."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.train.input.loader import Loader
from tests.train.input.loaders import MIXED

Batch = tuple[torch.Tensor, torch.Tensor]
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def on_ranks(shards: Path, ranks: int, state: dict[str, Any] | None, steps: int, **options: Any) -> list[list[Batch]]:
    """Return what each rank gets in some steps from a state on, and set `state` to the state after them."""
    handed = []
    for rank in range(ranks):
        with Loader(shards, rank=rank, world=ranks, device="cpu", threads=1, **options) as loader:
            if state is not None:
                loader.load_state_dict(state)
            handed.append(
                [(images.clone(), targets.clone()) for images, targets in loader.steps(None, loader.step + steps)]
            )
            after = loader.state_dict()
    if state is not None:
        state.update(after)
    return handed


def check(shards: Path, data: st.DataObject) -> None:
    """Compare one rank without a stop with some steps on some ranks, a stop, and the rest on other ranks."""
    draw = data.draw
    group, groups = draw(st.integers(1, 4), label="group"), draw(st.sampled_from([1, 2, 4, 6, 12]), label="groups")
    dividing = [ranks for ranks in (1, 2, 3, 4, 6) if groups % ranks == 0]
    first, then = (draw(st.sampled_from(dividing), label="ranks") for _ in range(2))
    options: dict[str, Any] = {
        "batch": group * groups,
        "group": group,
        "size": draw(st.sampled_from([8, 11]), label="size"),
        "partitions": draw(st.sampled_from([count for count in (1, 2, 3) if groups % count == 0]), label="partitions"),
        "seed": draw(st.integers(0, 2**63 - 1), label="seed"),
        "augment": draw(st.sampled_from([None, MIXED]), label="augment"),
        "smoothing": draw(st.sampled_from([0.0, 0.1]), label="smoothing"),
    }
    begin, stop = draw(st.integers(0, 10**6), label="begin"), draw(st.integers(1, 2), label="stop")
    with ExitStack() as stack:
        whole = stack.enter_context(Loader(shards, device="cpu", threads=1, **options))
        whole.seek(begin)
        state = whole.state_dict()
        plans = [whole.plan(begin + step) for step in range(stop + 2)]
        expected = [(images.clone(), targets.clone()) for images, targets in whole.steps(None, begin + stop + 2)]
    parts = on_ranks(shards, first, state, stop, **options), on_ranks(shards, then, state, 2, **options)
    assert state["step"] == begin + stop + 2
    for step, (images, targets) in enumerate(expected):
        ranks = [rank[step] for rank in parts[0]] if step < stop else [rank[step - stop] for rank in parts[1]]
        assert torch.equal(torch.cat([part for part, _ in ranks]), images)
        assert torch.equal(torch.cat([part for _, part in ranks]), targets)
        assert len(plans[step].ids) == len(targets)
        if targets.dtype == torch.int64:
            assert targets.tolist() == plans[step].labels.tolist()
    pairs = np.concatenate([np.stack([plan.epochs, plan.ids], 1) for plan in plans])
    assert len(np.unique(pairs, axis=0)) == len(pairs)


@settings(max_examples=40, deadline=None, suppress_health_check=CHECKS)
@given(data=st.data())
def test_union_over_ranks_is_the_plan(tiny_set: Path, data: st.DataObject) -> None:
    """All ranks together get the pixels and targets of one rank bit for bit, also after a stop and on other ranks."""
    check(tiny_set, data)


@pytest.mark.faults
@settings(max_examples=1000, deadline=None, suppress_health_check=CHECKS)
@given(data=st.data())
def test_union_over_ranks_is_the_plan_at_length(tiny_set: Path, data: st.DataObject) -> None:
    """The same holds in a thousand cases."""
    check(tiny_set, data)
