"""Random trees, appended to and cut into subsets: what trains is what was asked for, whatever ended in between.

What trains is what `headrace.Loader` plans for an epoch: ids, keys and labels, without reading an image.
"""

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.prep.verify import check
from headrace.shards import store
from headrace.shards.shardset import ShardSet
from headrace.train.input.loader import Loader
from tests.prep.growing import CUT, Tree, add, written
from tests.prep.test_append import TREES, Expected
from tests.prep.test_append_killed import dying
from tests.prep.test_convert import Stop, contents, make, quiet
from tests.prep.test_subset import of_ids, samples

BATCH = 2
STEPS = ("link", "publish", "discard")  # of an append, in the order in which it comes to them


class Trained(NamedTuple):
    """A sample as an epoch has it."""

    id: int
    source: str
    class_id: str


def trained(root: Path, window: int | None = None) -> Counter[Trained]:
    """The samples of the first epoch, with how often each comes."""
    shards = ShardSet.open(root)
    split = shards.split("train")
    batch = min(BATCH, len(split))
    loader = Loader(root, "train", batch=batch, size=32, device="cpu", threads=1, window=window)
    found: list[Trained] = []
    for step in range(-(-len(split) // batch)):
        plan = loader.plan(step)
        assert [int(key) for key in plan.keys] == plan.ids.tolist()
        rows = zip(plan.ids.tolist(), plan.labels.tolist(), strict=True)
        found += [Trained(one, split.sources[one], shards.class_ids[label]) for one, label in rows]
    loader.close()
    return Counter(found[: len(split)])


def listed(root: Path) -> list[Trained]:
    """The samples as the index lists them."""
    return [Trained(one, row.source, row.class_id) for one, row in enumerate(samples(root)["train"])]


def once(rows: list[Trained]) -> Counter[Trained]:
    """Each of them once."""
    return Counter(dict.fromkeys(rows, 1))


@settings(max_examples=12)
@given(first=TREES, second=TREES, data=st.data())
def test_what_trains_is_what_was_asked_for(first: Tree, second: Tree, data: st.DataObject) -> None:
    """Made, appended to, cut: an epoch has each path that was asked for once, under its class; then all is reused."""
    window = data.draw(st.none() | st.integers(1, 3), "window")
    with tempfile.TemporaryDirectory() as name:
        room, out = Path(name), Path(name) / "out"
        a, b = written(first, room / "a"), written(second, room / "b")
        make(a, out, CUT)
        before = listed(out)
        assert trained(out, window) == once(before)
        expected = Expected(first, sorted({path.split("/")[0] for path in first})).and_more(second)
        add(b, out)
        union = listed(out)
        assert union[: len(before)] == before
        assert {one.source: one.class_id for one in union} == {path: path.split("/")[0] for path in expected.images}
        assert trained(out, window) == once(union)
        ids = sorted(data.draw(st.sets(st.integers(0, len(union) - 1), min_size=1), "ids"))
        of_ids(out, room / "part", {"train": set(ids)})
        wanted = [Trained(new, union[old].source, union[old].class_id) for new, old in enumerate(ids)]
        assert trained(room / "part", window) == once(wanted)
        state = contents(out), contents(room / "part")
        assert of_ids(out, room / "part", {"train": set(ids)}).reused
        assert make(a, out, CUT).reused
        assert add(b, out).reused or len(union) == len(before)
        assert (contents(out), contents(room / "part")) == state


@settings(max_examples=20)
@given(first=TREES, second=TREES, step=st.sampled_from(STEPS), after=st.integers(0, 5))
def test_append_that_ends_anywhere_leaves_a_whole_set(first: Tree, second: Tree, step: str, after: int) -> None:
    """It is the old set or the new one, to the byte, and trains as such; the same append then ends, and is reused."""
    with tempfile.TemporaryDirectory() as name:
        room, out, whole = Path(name), Path(name) / "out", Path(name) / "whole"
        a, b = written(first, room / "a"), written(second, room / "b")
        make(a, out, CUT)
        shutil.copytree(out, whole)
        before = contents(out)
        add(b, whole)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, step, dying(getattr(store, step), after))
            try:
                add(b, out)
            except Stop:
                assert contents(out) in (before, contents(whole))
                assert "sound" in check(out, deep=True, say=quiet)
                assert trained(out) == once(listed(out))
        result = add(b, out)
        assert contents(out) == contents(whole)
        assert add(b, out).reused or not result.added
        assert make(a, out, CUT).reused
        assert sorted(path.name for path in room.glob("[!.]*")) == ["a", "b", "out", "whole"]
