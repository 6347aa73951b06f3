"""A set with appended images is a set like any other: it can be trained on, indexed, reused, shown and cut."""

import json
import shutil
from pathlib import Path

import pytest

from headrace.prep.adopt import adopt
from headrace.prep.command.options import Options
from headrace.prep.verify import check
from headrace.shards.errors import HeadraceError
from headrace.shards.manifest import load
from headrace.shards.names import STAMP
from headrace.shards.shardset import ShardSet
from headrace.train.input.loader import Loader
from tests.prep.figures import figures_of
from tests.prep.test_convert import make, quiet
from tests.prep.test_subset import of_ids, samples


def test_ids_that_train_are_those_of_the_list(grown: Path) -> None:
    """An epoch has every id once with its label in the index, and old ids do not change."""
    split = ShardSet.open(grown).split("train")
    assert split.keys == [f"{place:09d}" for place in range(24)]
    assert [path.startswith("train/n0") and "images" in path for path in split.sources] == [True] * 18 + [False] * 6
    loader = Loader(grown, "train", batch=4, size=32, device="cpu", threads=1, window=2)
    ids = []
    for step, (_, targets) in enumerate(loader):
        plan = loader.plan(step)
        ids += plan.ids.tolist()
        assert targets.tolist() == split.labels[plan.ids].tolist()
    loader.close()
    assert sorted(ids) == list(range(24))
    assert [one.id for one in load(grown).classes] == ["n01", "n02", "n03", "new"]


def test_indexes_are_made_again(grown: Path, tmp_path: Path) -> None:
    """`headrace index` keeps the parts; `verify` names the commands that make all parts again."""
    before = load(grown)
    name = before.splits[0].index.name
    assert name == "train-2.parquet"
    (grown / name).write_bytes(b"")
    adopt(grown, say=quiet)
    assert (load(grown).parts, load(grown).digest) == (before.parts, before.digest)
    assert make(tmp_path / "a", grown).reused
    (grown / "train-000000.tar").write_bytes(b"")
    with pytest.raises(HeadraceError) as error:
        check(grown, deep=False, say=quiet)
    commands = [one.split() for one in str(error.value).split("`")[1].split(" && ")]
    assert [one[:3] for one in commands[1:]] == [["headrace", "prep", str(tmp_path / name)] for name in "ab"]
    assert (commands[0][0], "--append" in commands[2], len(commands)) == ("mv", True, 3)


def test_contents_decide_where_stamps_do_not(grown: Path, tmp_path: Path) -> None:
    """Without stamps each part is recognised by its contents, even in copies, and then gets a stamp."""
    (grown / STAMP).unlink()
    shutil.copytree(tmp_path / "b", tmp_path / "copy")
    assert make(tmp_path / "copy", grown, Options()).reused
    assert make(tmp_path / "a", grown).reused
    stamps = [json.loads(line)["source"] for line in (grown / STAMP).read_text().splitlines()]
    assert stamps == [str(tmp_path / "a"), str(tmp_path / "copy")]


def test_inspect_says_how_unevenly_they_come(grown: Path) -> None:
    """A window of one tar has only appended samples or none; batches over the whole set are in between."""
    text = figures_of(grown)
    assert "24 samples" not in text.splitlines()[0]
    assert "4 classes in 2 parts" in text
    assert "6 samples were appended, 25.0%; their share of a batch of 24 is 25.0% to 25.0% over the whole set" in text


def test_subset_of_a_grown_set(grown: Path, tmp_path: Path) -> None:
    """A subset may have samples of all parts, as of any set."""
    parent = samples(grown)
    of_ids(grown, tmp_path / "part", {"train": {3, 20}, "val": set()})
    assert samples(tmp_path / "part") == {"train": [parent["train"][3], parent["train"][20]]}
