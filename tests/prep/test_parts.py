"""A set made in parts, by processes that do not know of each other, equals the set of one process."""

import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.make import shard
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record
from headrace.prep.make.room import Room
from headrace.prep.make.shard import Tick, Work
from headrace.prep.part import Part, make_plan, prep_part
from headrace.shards import store
from headrace.shards.errors import DataError, UsageError
from tests.prep.contents import as_folder, as_zip, small
from tests.prep.test_commands import run
from tests.prep.test_convert import SHARDS, contents, make, quiet

PARTS = 3


def copies(tmp_path: Path, kind: str) -> list[Path]:
    """Two copies of one source, whose files have other times."""
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = as_folder(small(), tmp_path / name / "in")
        if kind == "zip":
            found.append(as_zip(small(), tmp_path / name / "in.zip"))
        elif kind == "tar":
            path = tmp_path / name / "in.tar"
            with tarfile.open(path, "w") as archive:
                archive.add(folder, ".")
            found.append(path)
        else:
            found.append(folder)
    for path in (found[1], *found[1].rglob("*")):
        os.utime(path, (1_000_000, 1_000_000))
    return found


def part(source: Path, out: Path, number: int, of: int = PARTS, options: Options = SHARDS) -> list[str]:
    """Make a part in this process, and return its messages."""
    said: list[str] = []
    prep_part(source, out, options, Part(number, of), workers=1, say=said.append)
    return said


def state(room: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(room)): path.read_bytes() for path in sorted(room.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_parts_of_two_copies_are_the_set_of_one_process(tmp_path: Path, kind: str) -> None:
    """Parts may run in any order, twice, and from copies with other times; nothing else is left."""
    chance = random.Random(kind)
    sources = copies(tmp_path, kind)
    make(sources[0], tmp_path / "whole")
    for turn in range(3):
        out = tmp_path / f"out-{turn}"
        numbers = [*range(1, PARTS + 1), chance.randint(1, PARTS)]
        chance.shuffle(numbers)
        for number in numbers:
            part(chance.choice(sources), out, number)
        assert make(chance.choice(sources), out).reused is False
        assert contents(out) == contents(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "whole", "out-0", "out-1", "out-2"}


def test_the_last_command_makes_what_is_missing_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of parts are used as they are, even from a copy of the source with other times."""
    one, two = copies(tmp_path, "folder")
    for number in (1, 3):
        part(two, tmp_path / "out", number)
    begun = watch_shards(monkeypatch)
    said: list[str] = []
    prep(one, tmp_path / "out", SHARDS, workers=1, if_exists="reuse", say=said.append)
    assert begun == ["train-000001", "train-000004"]
    assert [line for line in said if "comparing contents" in line or "continuing" in line] == [
        "the modification times of 16 files of finished shards differ; comparing contents",
        "continuing an interrupted run: 5 of 7 shards are done",
    ]


def watch_shards(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None] = lambda: None) -> list[str]:
    """A list that records the shards begun in this process; `before` is called before each shard."""
    begun: list[str] = []

    def make_shard(job: Job, work: Work, tick: Tick) -> Record:
        begun.append(job.name)
        before()
        return shard.make_shard(job, work, tick)

    monkeypatch.setattr("headrace.prep.make.engines.pool.make_shard", make_shard)
    return begun


def test_a_file_that_changed_since_is_found(tmp_path: Path) -> None:
    """If an image that a part has read is replaced by another of equal size, its shard is made again."""
    files = small()
    source = as_folder(files, tmp_path / "in")
    for number in (1, 2, 3):
        part(source, tmp_path / "out", number)
    path = "train/n01/images/n01_0.JPEG"
    changed = bytearray(files[path])
    changed[15] ^= 1  # the density, which no decoder minds
    (source / path).write_bytes(changed)
    make(source, tmp_path / "out")
    make(source, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_part_removes_nothing(tmp_path: Path) -> None:
    """A part with other options or another source ends with 2 or 3, and so does the last command."""
    source = as_folder(small(), tmp_path / "in")
    part(source, tmp_path / "out", 1)
    room = Room(tmp_path / "out").folder
    before = state(room)
    options = Options(samples_per_shard=4, seed=9)
    with pytest.raises(UsageError, match=r"the plan in this folder was made with other options: --seed 0 \(now 9\)"):
        part(source, tmp_path / "out", 2, options=options)
    with pytest.raises(UsageError, match=r"parts of the set were made there with other options: --seed 0 \(now 9\)"):
        make(source, tmp_path / "out", options)
    assert state(room) == before
    shutil.move(source / "train/n02/images/n02_1.JPEG", source / "train/n02/images/n02_X.JPEG")
    with pytest.raises(DataError, match=r"n02_1\.JPEG: the file cannot be read .*it existed when prep began"):
        [part(source, tmp_path / "out", number) for number in (1, 2, 3)]
    assert state(room).items() >= before.items()
    before = state(room)
    with pytest.raises(DataError, match=r"processes with --part made shards in .* from other files"):
        make(source, tmp_path / "out")
    assert state(room) == before


def test_a_file_of_another_size_ends_a_part_with_3(tmp_path: Path) -> None:
    """The plan records sizes, and a part refuses a file of another size."""
    source = as_folder(small(), tmp_path / "in")
    make_plan(source, tmp_path / "out", SHARDS, workers=1, say=quiet)
    with (source / "val/images/0_0.JPEG").open("ab") as stream:
        stream.write(b"\0")
    done = run("prep", source, tmp_path / "out", "--samples-per-shard", 4, "--part", "1/1")
    assert done.returncode == 3
    assert "but its size changed" in done.stderr


def test_a_part_of_a_set_that_is_there_ends_at_once(tmp_path: Path) -> None:
    """The part does not open the source; options that differ from those of the set end it with 2."""
    source = as_folder(small(), tmp_path / "in")
    make(source, tmp_path / "out")
    shutil.rmtree(source)
    before = state(tmp_path)
    (said,) = part(source, tmp_path / "out", 1)
    assert said.endswith("exists already, made with these options; there is nothing to do")
    with pytest.raises(UsageError, match="made with other options"):
        part(source, tmp_path / "out", 1, options=Options(seed=9))
    assert state(tmp_path) == before


def test_plan_is_made_once_and_waited_for(tmp_path: Path) -> None:
    """A part waits while another process has the right to write OUT, and then finds the plan."""
    source = as_folder(small(), tmp_path / "in")
    done = run("prep", source, tmp_path / "out", "--samples-per-shard", 4, "--plan-only")
    assert done.stdout.endswith(".out.partial: a plan of 7 shards with 24 images\n"), done
    room = Room(tmp_path / "out").folder
    plans = list(room.glob("*.plan"))
    assert len(plans) == 1
    assert part(source, tmp_path / "out", 1, 7) == [
        "part 1/7: 1 shard, 1 of them made now; 1 of the set's 7 exist",
    ]
    assert list(room.glob("*.plan")) == plans


def test_bad_images_of_a_part_are_bounded(tmp_path: Path) -> None:
    """A part ends as soon as it has seen more bad images than the whole set may have."""
    files = {f"{name}/{k}.jpg": b"junk" for name in "ab" for k in range(30)}
    files |= {f"{name}/good{k}.jpg": small()["train/n01/images/n01_0.JPEG"] for name in "ab" for k in range(20)}
    source = as_folder(files, tmp_path / "in")
    options = Options(val_fraction=0, on_bad="skip", samples_per_shard=10)
    with pytest.raises(DataError, match="of 100 images do not decode, more than the 10 "):
        part(source, tmp_path / "out", 1, 2, options=options)


@given(number=st.integers(-3, 40), of=st.integers(-3, 40))
def test_part_is_one_of_n(number: int, of: int) -> None:
    """A part is a number from 1 to N."""
    if 1 <= number <= of:
        assert Part.parse(f" {number}/{of}") == Part(number, of)
        assert str(Part(number, of)) == f"{number}/{of}"
    else:
        with pytest.raises(UsageError, match="expected I/N, with I from 1 to N"):
            Part.parse(f"{number}/{of}")


@pytest.mark.parametrize("words", [["--part", "1/2", "--plan-only"], ["--part", "1/2", "--if-exists", "rebuild"]])
def test_what_does_not_go_with_parts_is_refused(tmp_path: Path, words: list[str]) -> None:
    """Options that do not go with parts end the command with 2 before anything is made."""
    done = run("prep", as_folder(small(), tmp_path / "in"), tmp_path / "out", *words)
    assert (done.returncode, "cannot be combined with --part" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_link_at_out_and_remains_of_killed_parts(tmp_path: Path) -> None:
    """The next part removes a tar that a killed part left unfinished, and keeps the tar of a living part."""
    source = as_folder(small(), tmp_path / "in")
    part(source, tmp_path / "out", 1)
    (made,) = {path.parent for path in tmp_path.glob(".out.partial/*/*.tar")}
    (made / "train-000001.tar.host.7.0123abcd.partial").write_bytes(b"left")
    with store.replacing(made / "train-000002.tar") as stream:
        stream.write(b"being written")
        part(source, tmp_path / "out", 1)
        assert len(list(made.glob("*.partial"))) == 1
