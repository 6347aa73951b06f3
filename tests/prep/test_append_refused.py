"""What `headrace prep --append` refuses, with one line of error and before anything changes."""

import shutil
from pathlib import Path

import pytest

from headrace.prep.adopt import adopt
from headrace.prep.command.options import Options
from headrace.shards.errors import DataError, UsageError
from headrace.shards.manifest import load
from headrace.shards.names import REPORT
from tests.e2e.commands import here, refused
from tests.prep.contents import as_folder
from tests.prep.growing import CUT, IMAGES, add, written
from tests.prep.test_convert import contents, make, quiet
from tests.prep.test_subset import of_ids


def test_unknown_class_is_refused(tmp_path: Path) -> None:
    """A new class needs --new-classes; a class whose images are all in the set already is not added."""
    written({"ant/0.jpg": 0, "bee/0.jpg": 1}, tmp_path / "a")
    make(tmp_path / "a", tmp_path / "out", CUT)
    before = contents(tmp_path / "out")
    written({"ant/1.jpg": 2, "yak/1.jpg": 3, "zoo/1.jpg": 1}, tmp_path / "b")
    words = [str(tmp_path / "b"), str(tmp_path / "out"), "--append", "--val-fraction=0"]
    refused(here("prep", *words), 3, "2 classes are not among the 2", "yak, zoo", "--new-classes")
    assert contents(tmp_path / "out") == before
    ended = here("prep", *words, "--new-classes")
    assert (ended.code, "2 samples appended" in ended.stdout) == (0, True), ended
    assert "with the same bytes in another class" in ended.stdout
    assert [one.id for one in load(tmp_path / "out").classes] == ["ant", "bee", "yak"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--append", "--max-side=20"], "--max-side 20: the images of"),
        (["--append", "--classes=1"], "--classes cannot be combined with --append"),
        (["--append", "--classes-from=x"], "--classes-from cannot be combined with --append"),
        (["--append", "--part=1/2"], "--part cannot be combined with --append"),
        (["--append", "--plan-only"], "--plan-only cannot be combined with --append"),
        (["--append", "--if-exists=rebuild"], "--if-exists rebuild cannot be combined with --append"),
        (["--new-classes"], "--new-classes needs --append"),
        (["--max-bad=3"], "--max-bad needs --on-bad skip"),
    ],
)
def test_options_that_do_not_go_with_it(grown: Path, tmp_path: Path, options: list[str], words: str) -> None:
    """Each unsuitable option gives one line of error, and nothing changes."""
    before = contents(grown)
    ended = here("prep", tmp_path / "a", grown, *options)
    assert (ended.code, ended.stdout, words in ended.stderr.splitlines()[-1]) == (2, "", True), ended
    assert contents(grown) == before


def test_sets_that_nothing_is_appended_to(tiny_set: Path, grown: Path, tmp_path: Path) -> None:
    """A missing set, a subset, adopted tars, a bad report and other files are refused, as is a rebuild."""
    source = tmp_path / "b"
    with pytest.raises(UsageError, match="there is no shard set to append to"):
        add(source, tmp_path / "nowhere")
    of_ids(tiny_set, tmp_path / "part", {"train": {1, 2}, "val": {1}})
    with pytest.raises(UsageError, match="it is a subset of another set"):
        add(source, tmp_path / "part")
    (tmp_path / "tars").mkdir()
    shutil.copy(tiny_set / "train-000000.tar", tmp_path / "tars")
    adopt(tmp_path / "tars", say=quiet)
    with pytest.raises(UsageError, match="its tars were not made by prep"):
        add(source, tmp_path / "tars")
    (grown / REPORT).unlink()
    (grown / REPORT).mkdir()
    with pytest.raises(DataError, match=rf"{REPORT}: cannot be read .* would be lost"):
        add(written({"n01/late.jpg": 5}, tmp_path / "late"), grown)
    (grown / REPORT).rmdir()
    (grown / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"prep did not write.*notes\.txt"):
        add(tmp_path / "a", grown, Options(seed=9))
    with pytest.raises(UsageError, match="rebuild would lose 1 part appended from other sources"):
        make(tmp_path / "a", grown, if_exists="rebuild")
    with pytest.raises(
        UsageError, match=r"none of its 2 parts was made with the given options: .*--seed 0 .now 9. in the first part"
    ):
        make(tmp_path / "a", grown, Options(seed=9))
    as_folder({"train/n01/images/n01_9.JPEG": IMAGES[4]}, tmp_path / "a")
    with pytest.raises(UsageError, match=r"neither its first prep nor an append used .* Give --append"):
        make(tmp_path / "a", grown)
