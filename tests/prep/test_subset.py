"""Subsets by lists of ids: exactly the chosen samples, byte for byte, and the same command reuses the subset."""

import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.prep.adopt import adopt
from headrace.prep.command.options import Options
from headrace.prep.convert import Result, prep
from headrace.prep.subset import subset
from headrace.prep.verify import check
from headrace.shards import index
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import load
from headrace.shards.shardset import ShardSet
from tests.e2e.commands import here, refused
from tests.prep.test_adopt import JPEGS, write

Ids = dict[str, set[int]]
_TRAIN, _VAL = 480, 120


class Sample(NamedTuple):
    """Everything that a subset keeps of a sample."""

    jpeg: bytes
    class_id: str
    source: str
    sides: tuple[int, int]
    sha256: bytes


def quiet(_: str) -> None:
    """Say nothing."""


def samples(root: Path) -> dict[str, list[Sample]]:
    """Every sample of each split, in the order of the ids."""
    shards, found = ShardSet.open(root), {}
    for info in shards.manifest.splits:
        split = shards.split(info.name)
        hashes = index.read_texts(root, info.index, ("sha256",))["sha256"]
        jpegs = split.jpegs(np.arange(len(split)))
        found[info.name] = [
            Sample(
                jpegs[row].tobytes(),
                shards.class_ids[split.labels[row]],
                split.sources[row],
                (int(split.widths[row]), int(split.heights[row])),
                hashes[row],
            )
            for row in range(len(split))
        ]
        assert list(split.keys) == [f"{place:09d}" for place in range(len(split))]
    return found


def of_ids(parent: Path, out: Path, ids: Ids, *, drop: bool = False) -> Result:
    """The subset of these samples, which are listed out of order."""
    lines = [f"{split} {sample}" for split, own in ids.items() for sample in own]
    path = out.with_name("ids.txt")
    path.write_text("# chosen\n" + "\n".join(lines[::-1]))
    return subset(parent, out, where=None, ids=path, drop_empty_classes=drop, say=quiet)


@settings(max_examples=12)
@given(
    st.sets(st.integers(0, _TRAIN - 1), max_size=60),
    st.sets(st.integers(0, _VAL - 1), min_size=1, max_size=20),
    st.booleans(),
)
def test_is_what_was_asked_for(tiny_set: Path, train: set[int], val: set[int], drop: bool) -> None:
    """Samples of both splits come in the order of ids; classes stay or go as told; the subset verifies."""
    parent, ids = samples(tiny_set), {"train": train, "val": val}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part"
        made = of_ids(tiny_set, out, ids, drop=drop)
        wanted = {name: [parent[name][row] for row in sorted(own)] for name, own in ids.items() if own}
        assert samples(out) == wanted
        used = {one.class_id for own in wanted.values() for one in own}
        classes = [one for one in load(tiny_set).classes if one.id in used or not drop]
        assert list(made.manifest.classes) == classes
        assert "sound" in check(out, deep=True, say=quiet)
        before = (out / "shardset.json").stat()
        again = of_ids(tiny_set, out, ids, drop=drop)
        assert (again.reused, again.manifest) == (True, made.manifest)
        assert (out / "shardset.json").stat() == before
        with pytest.raises(UsageError, match="drop-empty-classes"):
            of_ids(tiny_set, out, ids, drop=not drop)
        assert sorted(path.name for path in Path(folder).iterdir()) == ["ids.txt", "part"]


def test_all_samples_are_the_set_itself(tiny_set: Path, tmp_path: Path) -> None:
    """A subset of all samples equals its parent in tars and digest, and so does a subset of the subset."""
    every = {"train": set(range(_TRAIN)), "val": set(range(_VAL))}
    of_ids(tiny_set, tmp_path / "all", every)
    of_ids(tmp_path / "all", tmp_path / "again", every)
    for path in tiny_set.glob("*.tar"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / "again" / f"{path.stem}.idx").read_bytes() == path.with_suffix(".idx").read_bytes()
    assert load(tmp_path / "again").digest == load(tiny_set).digest


def test_adopted_parent_with_words(tmp_path: Path) -> None:
    """Labels that are words become the numbers of their classes."""
    tars = tmp_path / "tars"
    tars.mkdir()
    write(tars / "train.tar", [{"__key__": f"k{k}", "jpg": JPEGS[k], "cls": "aecb"[k]} for k in range(4)])
    adopt(tars, say=quiet)
    of_ids(tars, tmp_path / "part", {"train": {1, 2}}, drop=True)
    assert [one.class_id for one in samples(tmp_path / "part")["train"]] == ["e", "c"]
    assert "sound" in check(tmp_path / "part", deep=True, say=quiet)
    assert load(tmp_path / "part").options["subset_of"] == load(tars).digest


def test_damaged_jpeg_is_not_copied(tiny_set: Path, tmp_path: Path) -> None:
    """Bytes that do not match the index end the command, and nothing is left of the subset."""
    parent = shutil.copytree(tiny_set, tmp_path / "set")
    places = ShardSet.open(parent).split("train").places(np.array([7]))
    with (parent / "train-000000.tar").open("r+b") as stream:
        stream.seek(int(places.offsets[0]) + 300)
        stream.write(bytes([stream.read(1)[0] ^ 1]))
    with pytest.raises(DataError, match="CRC-32"):
        of_ids(parent, tmp_path / "part", {"train": {5, 7}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ids.txt", "set"]
    of_ids(parent, tmp_path / "part", {"train": {5, 8}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train 480", ("line 1", "0 to 479")),
        ("split,id\ntrain,1\nval,x", ("line 3", "'x'")),
        ("test 1", ("line 1", "train, val")),
        ("7", ("line 1", "a split and an id")),
        ("val 3\ntrain 4\nval 3", ("sample 3 of val is listed twice",)),
    ],
)
def test_line_that_names_no_sample(tiny_set: Path, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    """A line without a matching sample is named, the exit code is 3, and no set is made."""
    (tmp_path / "ids").write_text(text)
    refused(here("subset", tiny_set, tmp_path / "part", "--ids", tmp_path / "ids"), 3, *words)
    assert not (tmp_path / "part").exists()


def test_nothing_asked_for(tiny_set: Path, tmp_path: Path) -> None:
    """A choice of no samples makes no set, and neither does the absence of a choice."""
    (tmp_path / "ids").write_text("\n")
    refused(here("subset", tiny_set, tmp_path / "part", "--ids", tmp_path / "ids"), 2, "no sample")
    assert here("subset", tiny_set, tmp_path / "part").code == 2


def test_nothing_is_replaced(tiny_set: Path, tiny_zip: Path, tmp_path: Path) -> None:
    """A set, another subset or any folder is never replaced, and prep does not replace a subset."""
    with pytest.raises(UsageError, match="not a subset"):
        of_ids(tiny_set, shutil.copytree(tiny_set, tmp_path / "set"), {"train": {1}})
    part = tmp_path / "part"
    of_ids(tiny_set, part, {"train": {1}})
    with pytest.raises(UsageError, match="another subset: of ids"):
        of_ids(tiny_set, part, {"train": {2}})
    for choice in ("reuse", "rebuild"):
        with pytest.raises(UsageError, match="this set is a subset"):
            prep(tiny_zip, part, Options(), workers=1, if_exists=choice, say=quiet)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not a shard set"):
        of_ids(tiny_set, other, {"train": {1}})
    assert len(samples(part)["train"]) == 1


def test_without_duckdb(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition without duckdb gives an error that says what to install."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    ended = here("subset", tiny_set, tmp_path / "part", "--where", "label = 0")
    refused(ended, 2, 'pip install "headrace[query]"', "--ids")


def test_damaged_subset_is_made_anew_by_what_is_said(tiny_set: Path, tmp_path: Path) -> None:
    """The remedy is two commands; with the file of ids in its place they give the same set, and the old one is kept."""
    part = tmp_path / "my part"
    made = of_ids(tiny_set, part, {"train": {1, 2}}, drop=True)
    (part / "train-000000.tar").write_bytes(b"")
    with pytest.raises(DataError) as told:
        check(part, deep=False, say=quiet)
    _, _, command = str(told.value).partition("`")
    move, again = command.rstrip("`.").replace("FILE", shlex.quote(str(tmp_path / "ids.txt"))).split(" && ")
    words = shlex.split(move)
    assert words[0] == "mv"
    shutil.move(words[1], words[2])
    assert here(*shlex.split(again)[1:]).code == 0
    assert load(part) == made.manifest
