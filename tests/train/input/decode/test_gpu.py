"""The pipeline for GPUs, run on the CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.decode.gpu import OnGpu
from headrace.train.input.decode.pipeline import threads_beside
from headrace.train.input.plans import Plan, ValidationPlans
from tests.train.pictures import CPU, Pixels, evaluated, picture, spoiled

MADE_BAD: dict[str, tuple[Callable[[Pixels], Pixels], str]] = {
    "cut": (lambda jpeg: jpeg[:300], "the image cannot be decoded"),
    "smaller": (
        lambda _: np.frombuffer(picture(32, 128), np.uint8),
        r"decodes to \(128, 32, 3\), but the index says \(64, 64, 3\)",
    ),
}


@pytest.fixture
def split(tiny_set: Path) -> Split:
    """Return the 480 training samples of the tiny set."""
    return ShardSet.open(tiny_set).split("train")


def on_gpu(split: Split) -> OnGpu[Plan]:
    """Return the pipeline for GPUs, which runs on the CPU if there is no GPU."""
    return OnGpu(split, 16, CPU, threads=1, decode="cpu")


def test_plans_come_back_in_order(split: Split) -> None:
    """Each plan is returned with its own images in every run, although the graph requests plans ahead."""
    plans, graph, whole = ValidationPlans(split, 16, 1.0, 64), on_gpu(split), evaluated(split, size=64, fraction=1.0)
    for groups in (range(30), range(0), range(29, 9, -1)):
        seen = []
        for plan, images in graph.run(plans.stream(groups)):
            assert (images.numpy() == whole[plan.ids]).all()
            seen.append(plan.group)
        assert seen == list(groups)


@pytest.mark.parametrize("kind", MADE_BAD)
def test_the_bad_sample_is_named(split: Split, tmp_path: Path, kind: str) -> None:
    """The error names the sample and its problem, for each kind of problem, although DALI's error names none."""
    make, words = MADE_BAD[kind]
    spoiled(split, 37, make, tmp_path)
    with pytest.raises(DataError, match=rf"key 000000037 \(source train/.*{words}"):
        list(on_gpu(split).run(ValidationPlans(split, 16, 1.0, 32).stream(range(30))))


def test_no_graph_is_built_to_name_a_sample(split: Split, tmp_path: Path) -> None:
    """The CPU finds the bad sample, because a graph for each image would take a GPU minutes."""
    built: list[int] = []

    class Counted(OnGpu[Plan]):
        def _built(self, source: Callable[[], Any], max_batch: int, threads: int) -> Any:
            built.append(max_batch)
            return super()._built(source, max_batch, threads)

    spoiled(split, 37, MADE_BAD["cut"][0], tmp_path)
    with pytest.raises(DataError, match="key 000000037"):
        list(
            Counted(split, 16, CPU, threads=1, decode="cpu").run(ValidationPlans(split, 16, 1.0, 32).stream(range(30)))
        )
    assert built == [16]


def test_memory_that_runs_out_blames_no_image(split: Split) -> None:
    """C++'s std::bad_alloc is raised as MemoryError, which is not a RuntimeError, and blames no image."""

    class Full(OnGpu[Plan]):
        def _images(self) -> Tensor:
            self._next_inputs()
            raise MemoryError("std::bad_alloc")

    with pytest.raises(HeadraceError, match="bad_alloc") as error:
        list(Full(split, 16, CPU, threads=1, decode="cpu").run(ValidationPlans(split, 16, 1.0, 32).stream(range(3))))
    assert not isinstance(error.value, DataError)


@pytest.mark.parametrize(("cores", "decoding"), [(1, 1), (2, 1), (3, 1), (16, 14)])
def test_step_and_feed_have_cores_of_their_own(cores: int, decoding: int) -> None:
    """The decoder uses the threads that step and feed leave."""
    assert threads_beside(cores) == decoding
