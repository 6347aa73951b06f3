"""The graph that GPUs use, run on the CPU."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.errors import DataError
from shards.shardset import ShardSet, Split
from tests.train.pictures import Pixels, evaluated, picture, spoiled
from train import graphs
from train.batch import Plan, ValidationPlans
from train.fed import FedGraph
from train.regions import seen

MADE_BAD: dict[str, tuple[Callable[[Pixels], Pixels], str]] = {
    "cut": (lambda jpeg: jpeg[:300], "the image does not decode"),
    "smaller": (
        lambda _: np.frombuffer(picture(32, 128), np.uint8),
        r"decodes to \(128, 32, 3\), the index says \(64, 64, 3\)",
    ),
}


@pytest.fixture
def split(tiny_set: Path) -> Split:
    """The 480 training samples of the tiny set."""
    return ShardSet.open(tiny_set).split("train")


def fed(split: Split) -> FedGraph[Pixels]:
    """The graph with the decoder on the CPU."""

    def inputs(plan: Plan) -> Any:
        regions = seen(plan.views, split.heights[plan.ids], split.widths[plan.ids])
        return split.jpegs(plan.ids), *graphs.arguments(plan.views, regions, plan.size)

    def run(graph: Any) -> Pixels:
        (images,) = graph.run()
        return np.array(images.as_tensor())

    return FedGraph(split, 16, 1, build=partial(graphs.viewing, device=None, decode="cpu"), inputs=inputs, run=run)


def test_plans_come_back_in_order(split: Split) -> None:
    """Each plan comes with its own images, though the graph asks for plans ahead, run after run."""
    plans, graph, whole = ValidationPlans(split, 16, 1.0, 64), fed(split), evaluated(split, size=64, fraction=1.0)
    for groups in (range(30), range(0), range(29, 9, -1)):
        made = list(graph.run(plans.stream(groups)))
        assert [plan.group for plan, _ in made] == list(groups)
        assert all((images == whole[plan.ids]).all() for plan, images in made)


@pytest.mark.parametrize("kind", MADE_BAD)
def test_the_bad_sample_is_named(split: Split, tmp_path: Path, kind: str) -> None:
    """DALI's error names no sample; ours does, and says what is wrong with it, for each way to be wrong."""
    make, words = MADE_BAD[kind]
    spoiled(split, 37, make, tmp_path)
    with pytest.raises(DataError, match=rf"key 000000037 \(source train/.*{words}"):
        list(fed(split).run(ValidationPlans(split, 16, 1.0, 32).stream(range(30))))
