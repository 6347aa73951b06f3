"""`headrace prep --append`: the union by paths and bytes, classes that stay, and parts that are reused."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.prep.append import append
from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.verify import check
from headrace.shards.errors import DataError
from headrace.shards.manifest import load
from headrace.shards.names import MANIFEST, REPORT
from headrace.shards.shardset import ShardSet
from tests.checkout import ROOT
from tests.e2e.commands import here
from tests.prep.contents import as_folder
from tests.prep.damage import tree
from tests.prep.growing import CUT, IMAGES, JPEGS, OTHER, Tree, add, written
from tests.prep.test_convert import contents, make, quiet
from tests.prep.test_subset import Sample, samples
from tests.project.blocks import blocks_of

PATHS = [f"{word}/{number}.jpg" for word in ("ant", "bee", "cat", "dog") for number in range(4)]
TREES = st.dictionaries(st.sampled_from(PATHS), st.integers(0, len(IMAGES) - 1), min_size=1, max_size=9)


class Expected(NamedTuple):
    """The set as it should be: its contents by path, and its classes."""

    images: Tree
    classes: list[str]

    def and_more(self, tree: Tree) -> "Expected":
        """The expected set after adding the images of a tree that it does not have."""
        there = set(self.images.values())
        more = {path: image for path, image in tree.items() if path not in self.images and image not in there}
        new = sorted({path.split("/")[0] for path in more} - set(self.classes))
        return Expected(self.images | more, self.classes + new)


def check_set(out: Path, expected: Expected, before: list[Sample]) -> list[Sample]:
    """Check that the set has the expected contents, keeps the ids of its old samples, and verifies."""
    now = samples(out)["train"]
    assert now[: len(before)] == before
    assert {one.source: one.class_id for one in now} == {path: path.split("/")[0] for path in expected.images}
    assert len(now) == len(expected.images)
    for one in now:
        image = IMAGES[expected.images[one.source]]
        assert (one.jpeg == image) == image.startswith(b"\xff\xd8"), one.source
    assert [one.id for one in load(out).classes] == expected.classes
    assert "sound" in check(out, deep=True, say=quiet)
    return now


@settings(max_examples=15)
@given(TREES, TREES, TREES)
def test_union_is_what_was_asked_for(first: Tree, second: Tree, third: Tree) -> None:
    """Two appends of random trees keep old ids and bytes, add only new paths and bytes, and are then reused."""
    with tempfile.TemporaryDirectory() as name:
        room, out = Path(name), Path(name) / "out"
        sources = [written(one, room / str(number)) for number, one in enumerate((first, second, third))]
        expected = Expected(first, sorted({path.split("/")[0] for path in first}))
        prep(sources[0], out, CUT, workers=1, if_exists="error", say=quiet)
        now, digests = check_set(out, expected, []), {load(out).digest}
        made = [(sources[0], CUT)]
        for number, more in ((1, second), (2, third)):
            size, expected = len(expected.images), expected.and_more(more)
            result = add(sources[number], out)
            grown = len(expected.images) - size
            now = check_set(out, expected, now)
            gone = {path for path in more if path not in expected.images or number_of(out, path) <= size}
            if grown:
                assert (result.added, result.reused) == (grown, False)
                made.append((sources[number], OTHER))
                digests.add(load(out).digest)
                assert left_out(out, len(made)) == gone
            else:
                assert result.reused or result.added == 0
            assert len(digests) == len(load(out).parts) == len(made)
        state = contents(out)
        for source, options in made:
            assert make(source, out, options).reused
            assert add(source, out, options).reused
        assert contents(out) == state
        assert sorted(path.name for path in room.iterdir()) == ["0", "1", "2", "out"]


def left_out(out: Path, part: int) -> set[str]:
    """The files of a part that are left out, according to the report."""
    lines = (out / REPORT).read_text().splitlines() if (out / REPORT).exists() else []
    notes = [json.loads(line) for line in lines]
    return {one["source"] for one in notes if one.get("part", 1) == part and one["action"] == "skipped"}


def number_of(out: Path, path: str) -> int:
    """The place of a sample, counted from 1."""
    return 1 + ShardSet.open(out).split("train").sources.index(path)


def test_same_bytes_for_any_workers_and_any_form(grown: Path, tmp_path: Path) -> None:
    """Three workers, a copied source and a copied set give equal files, and the old tars do not change."""
    make(tmp_path / "a", tmp_path / "other", workers=2)
    before = contents(tmp_path / "other")
    shutil.copytree(tmp_path / "b", tmp_path / "copy")
    append(tmp_path / "copy", tmp_path / "other", Options(), new_classes=True, workers=3, say=quiet)
    assert contents(tmp_path / "other") == contents(grown)
    assert {
        name: data for name, data in contents(grown).items() if name in before and name not in (MANIFEST, REPORT)
    } == {name: data for name, data in before.items() if name not in (MANIFEST, REPORT)}


def test_old_tars_are_the_same_files(grown: Path, tmp_path: Path) -> None:
    """An old tar keeps its inode; where no hard link can be made, it is copied with its bytes."""
    places = {path.name: path.stat().st_ino for path in grown.glob("*.tar")}
    as_folder({"train/n01/late.jpg": JPEGS[8], "val/n01/late.jpg": JPEGS[9]}, tmp_path / "c")
    with pytest.MonkeyPatch.context() as patch:
        add(tmp_path / "c", grown, Options())
        assert {name: (grown / name).stat().st_ino for name in places} == places
        before = contents(grown)

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        patch.setattr("os.link", refuse)
        as_folder({"train/n01/last.jpg": JPEGS[10]}, tmp_path / "d")
        add(tmp_path / "d", grown, Options(val_fraction=0))
    assert contents(grown).items() >= {name: before[name] for name in places}.items()
    assert "sound" in check(grown, deep=True, say=quiet)


def test_classes_that_are_integers_stay_their_numbers(tmp_path: Path) -> None:
    """Label 5 is class 5 even if no sample has labels 2 to 4 yet."""
    lines = ["path,label", *(f"{number}.jpg,{number}" for number in range(2))]
    for name, text in (("a", lines), ("b", ["path,label", "7.jpg,5", "8.jpg,1"])):
        as_folder({f"{number}.jpg": IMAGES[number % 5] for number in (0, 1)}, tmp_path / name)
        as_folder({f"{number}.jpg": IMAGES[number % 5] for number in (7, 8)}, tmp_path / name)
        (tmp_path / name / "list.csv").write_text("\n".join(text))
    make(tmp_path / "a" / "list.csv", tmp_path / "out", CUT)
    assert add(tmp_path / "b" / "list.csv", tmp_path / "out").added == 2
    assert [one.id for one in load(tmp_path / "out").classes] == ["0", "1", "2", "3", "4", "5"]
    split = ShardSet.open(tmp_path / "out").split("train")
    assert dict(zip(split.sources, split.labels.tolist(), strict=True))["7.jpg"] == 5


def test_duplicates_in_what_is_appended(tmp_path: Path) -> None:
    """--dedupe exact applies to the new part: a taken path drops an equal image there; labels must agree."""
    written({"ant/0.jpg": 0, "bee/0.jpg": 1}, tmp_path / "a")
    make(tmp_path / "a", tmp_path / "out", CUT)
    once = Options(val_fraction=0, dedupe="exact")
    written({"ant/0.jpg": 2, "ant/1.jpg": 2, "ant/2.jpg": 2, "bee/3.jpg": 1}, tmp_path / "b")
    assert add(tmp_path / "b", tmp_path / "out", once).added == 1
    assert samples(tmp_path / "out")["train"][-1].source == "ant/1.jpg"
    written({"bee/9.jpg": 0, "ant/9.jpg": 3}, tmp_path / "c")
    with pytest.raises(DataError, match=r"bee/9.jpg and ant/0.jpg have the same bytes"):
        add(tmp_path / "c", tmp_path / "out", once)
    assert add(tmp_path / "c", tmp_path / "out", Options(val_fraction=0, dedupe="exact", on_conflict="drop")).added == 1


def test_bad_images_and_classes_without_any(tmp_path: Path) -> None:
    """--on-bad skip applies to the new part; only a known class may have nothing but bad images there."""
    written({"ant/0.jpg": 0, "bee/0.jpg": 1}, tmp_path / "a")
    make(tmp_path / "a", tmp_path / "out", CUT)
    source = as_folder({"ant/1.jpg": IMAGES[2], "bee/1.jpg": IMAGES[3][:-40]}, tmp_path / "b")
    skip, drop = (Options(val_fraction=0, on_bad="skip", on_empty_class=one) for one in ("error", "drop"))
    assert add(source, tmp_path / "out", skip).added == 1
    as_folder({"yak/1.jpg": IMAGES[3][:-50], "ant/5.jpg": IMAGES[4]}, tmp_path / "c")
    with pytest.raises(DataError, match="has no training image"):
        add(tmp_path / "c", tmp_path / "out", skip)
    assert add(tmp_path / "c", tmp_path / "out", drop).added == 1
    assert [one.id for one in load(tmp_path / "out").classes] == ["ant", "bee"]


def test_report_of_a_part_that_was_never_published(tmp_path: Path) -> None:
    """A killed append to a URL may leave a report, whose lines the next append does not repeat."""
    written({"ant/0.jpg": 0}, tmp_path / "a")
    make(tmp_path / "a", tmp_path / "out", CUT)
    lines = [{"source": "old", "action": "skipped", "reason": "w"} | part for part in ({}, {"part": 2})]
    (tmp_path / "out" / REPORT).write_text("".join(json.dumps(line) + "\n" for line in lines))
    written({"ant/1.jpg": 1, "ant/2.jpg": 0}, tmp_path / "b")
    add(tmp_path / "b", tmp_path / "out")
    assert (left_out(tmp_path / "out", 1), left_out(tmp_path / "out", 2)) == ({"old"}, {"ant/2.jpg"})


def test_part_for_validation(tmp_path: Path) -> None:
    """--val-fraction takes a share of the appended images; old images stay in their splits."""
    many = {f"ant/{number}.jpg": data for number, data in enumerate(JPEGS)}
    as_folder({"ant/a.jpg": IMAGES[5], "ant/b.jpg": IMAGES[6]}, tmp_path / "a")
    make(tmp_path / "a", tmp_path / "out", CUT)
    as_folder(many, tmp_path / "b")
    result = add(tmp_path / "b", tmp_path / "out", Options(val_fraction=0.5))
    now = samples(tmp_path / "out")
    assert result.added == len(many)
    assert [len(now[name]) for name in ("train", "val")] == [2 + len(many) - len(many) // 2, len(many) // 2]
    assert {one.source for own in now.values() for one in own} == {"ant/a.jpg", "ant/b.jpg", *many}
    assert add(tmp_path / "b", tmp_path / "out", Options(val_fraction=0.5)).reused


def test_page_of_growing_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands in docs/growing-sets.md make one set of three weeks, the last with a new class."""
    jpegs = list(tree().values())
    for week, classes in ((1, ("ant", "bee")), (2, ("ant", "bee")), (3, ("ant", "cat"))):
        files = {
            f"{one}/{week}-{k}.jpg": jpegs[4 * week - 4 + 2 * n + k] for n, one in enumerate(classes) for k in (0, 1)
        }
        as_folder(files, tmp_path / f"week-{week}")
    shutil.make_archive(str(tmp_path / "week-3"), "zip", tmp_path / "week-3")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "growing-sets.md"
    commands = [line for block in blocks_of(page) for line in block.text.splitlines()]
    for line in commands:
        ended = here(*line.replace("0.1", "0.5").split()[1:])
        assert ended.code == 0, ended.stderr
    assert [one.id for one in load(Path("shards/birds")).classes] == ["ant", "bee", "cat"]
    assert (len(commands), load(Path("shards/birds")).samples) == (3, 12)


def test_append_of_bad_images_alone_changes_nothing(tmp_path: Path) -> None:
    """No empty part is published, and the summary says what became of the images."""
    options = Options(val_fraction=0, on_bad="skip")
    out = tmp_path / "set"
    prep(
        as_folder({"ant/1.jpg": JPEGS[0], "bee/1.jpg": JPEGS[1]}, tmp_path / "a"),
        out,
        options,
        workers=1,
        if_exists="error",
        say=quiet,
    )
    before = contents(out)
    bad = as_folder({"ant/9.jpg": b"\xff\xd8\xff junk"}, tmp_path / "b")
    result = append(bad, out, options, new_classes=False, workers=1, say=quiet)
    assert (result.added, len(result.tally.bad)) == (0, 1)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []
