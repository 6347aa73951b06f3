from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.augment.views import centre_views
from headrace.train.input.decode.parts import Part, Taken, _OnGpu, _Read, build_part
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.decode.wanted import Wanted
from headrace.train.machine.device import Accelerator


class Plan:
    """A request for some samples."""

    def __init__(self, split: Split, first: int) -> None:
        ids = np.arange(first, first + 8)
        self.wanted = Wanted(ids, centre_views(1.0, 32, split.widths[ids], split.heights[ids]), 32)


@pytest.fixture
def split(tiny_set: Path) -> Iterator[Split]:
    """Return the training split of the drawn set."""
    with closing(ShardSet.open(tiny_set).split("train")) as opened:
        yield opened


@pytest.mark.parametrize("part", [Part.READ, Part.DECODE])
@pytest.mark.parametrize("threads", [1, 3])
def test_plans_come_through_in_order(split: Split, part: Part, threads: int) -> None:
    """Each plan is returned once and in order, also if threads work in parallel."""
    plans = [Plan(split, first) for first in range(0, 80, 8)]
    taken: Taken[Plan] = build_part(part, split, 8, Accelerator(None), threads=threads, decode="cpu")
    with closing(taken):
        assert list(taken.run(iter(plans))) == plans


def test_a_damaged_sample_is_named_by_each_part(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part reads and checks samples as the pipeline does."""
    monkeypatch.setattr(split, "_crcs", split._crcs + 1)
    said = set()
    for part in (Part.READ, Part.DECODE):
        taken: Taken[Plan] = build_part(part, split, 8, Accelerator(None), threads=1, decode="cpu")
        with closing(taken), pytest.raises(Exception, match="CRC-32") as error:
            list(taken.run(iter([Plan(split, 0)])))
        said.add(str(error.value))
    pipeline: ImagePipeline[Plan] = ImagePipeline(split, 8, Accelerator(None), threads=1, decode="cpu")
    with closing(pipeline), pytest.raises(Exception, match="CRC-32") as error:
        list(pipeline.run(iter([Plan(split, 0)])))
    assert said == {str(error.value)}


def test_graph_of_a_gpu_ends_early(split: Split) -> None:
    """Without a GPU, plans pass the GPU's decoding part in order, and the stream ends."""
    plans = [Plan(split, first) for first in range(0, 80, 8)]
    with closing(_OnGpu[Plan](Part.DECODE, split, 8, Accelerator(None), 1, "cpu")) as taken:
        assert list(taken.run(iter(plans))) == plans
        assert list(taken.run(iter(plans[:3]))) == plans[:3]
    assert list(_Read[Plan](split).run(iter(plans))) == plans
