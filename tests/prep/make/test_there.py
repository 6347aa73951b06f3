"""A shard that another host makes: as the pool would, unless it was finished before; and hosts that are not alike."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.make.engines.there import Errand, make_there
from headrace.prep.make.planned import Job
from headrace.prep.make.planning import plan_source
from headrace.prep.make.record import Record, record_path
from headrace.prep.make.room import Room
from headrace.prep.make.shard import Work, make_shard
from headrace.prep.sources.detect import open_files
from headrace.shards.errors import DataError, UsageError
from headrace.shards.version import running_version
from tests.prep.contents import as_folder, small


def planned(source: Path, room: Room) -> Iterator[tuple[list[Job], Work]]:
    """The jobs of this source, with room for their shards."""
    options = Options(samples_per_shard=4)
    with closing(open_files(source, room.folder.parent, options)) as files, room.planning() as folder:
        found = plan_source(files, options, folder, 1, print)
        room.enter(found.plan)
        jobs = [job for split in found.plan.jobs().values() for job in split]
        yield jobs, Work(room.set_of(found.plan), room.records_of(found.plan), found.plan, found.source.reader, options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Seven shards of 24 images."""
    return as_folder(small(), tmp_path / "in")


@pytest.fixture
def begun(source: Path, tmp_path: Path) -> Iterator[tuple[list[Job], Work]]:
    """The jobs and the work of a prep that has made nothing yet."""
    yield from planned(source, Room(tmp_path / "out"))


def there(job: Job, work: Work, source: Path) -> Record:
    """The record that a host of this version answers with."""
    answer = make_there(astuple(job), lambda: Errand(work, source), running_version())
    assert isinstance(answer, Record), answer
    return answer


def test_it_is_the_shard_of_the_pool(begun: tuple[list[Job], Work], source: Path) -> None:
    """The same bytes, and the record in the shared folder."""
    (job, *_), work = begun
    made = there(job, work, source)
    tar = (work.folder / f"{job.name}.tar").read_bytes()
    again = make_shard(job, work, lambda *_: None)
    assert (made.tar.sha256, tar) == (again.tar.sha256, (work.folder / f"{job.name}.tar").read_bytes())
    assert record_path(work.records, job.name).is_file()


def test_a_finished_shard_is_taken_over(begun: tuple[list[Job], Work], source: Path) -> None:
    """What a host finished before it died is not made again; a damaged one is, and one with a damaged record."""
    (job, *_), work = begun
    tar = work.folder / f"{job.name}.tar"
    first = there(job, work, source)
    inode = tar.stat().st_ino
    assert there(job, work, source) == first
    assert tar.stat().st_ino == inode
    tar.write_bytes(tar.read_bytes()[:-512])
    assert there(job, work, source).tar.sha256 == first.tar.sha256
    record_path(work.records, job.name).write_bytes(b"damaged")
    assert there(job, work, source).tar.sha256 == first.tar.sha256


def test_a_shard_of_other_files_is_made_again(begun: tuple[list[Job], Work], source: Path, tmp_path: Path) -> None:
    """An image that was replaced by one of equal size between two runs: the record of the first is not taken over."""
    jobs, work = begun
    before = {job.name: there(job, work, source).tar.sha256 for job in jobs}
    path = source / "train/n01/images/n01_0.JPEG"
    changed = bytearray(path.read_bytes())
    changed[15] ^= 1  # the density, which no decoder minds
    path.write_bytes(changed)
    os.utime(path, (2_000_000_000, 2_000_000_000))
    for later_jobs, later in planned(source, Room(tmp_path / "out")):
        assert later.folder == work.folder
        after = {job.name: there(job, later, source).tar.sha256 for job in later_jobs}
    assert sum(after[name] != sha256 for name, sha256 in before.items()) == 1


def test_another_version_reads_nothing(begun: tuple[list[Job], Work]) -> None:
    """Its files might differ, and it might not even understand what is asked."""
    (job, *_), _ = begun

    def errand() -> Errand:
        raise AssertionError

    answer = make_there(astuple(job), errand, "0.0.1")
    assert isinstance(answer, UsageError)
    assert (
        f"it has Headrace {running_version()}, but the command was given with 0.0.1. Install the same version"
        in str(answer)
    )


@pytest.mark.parametrize("what", ["OUT", "SOURCE"])
def test_a_host_that_does_not_see_them_says_so(begun: tuple[list[Job], Work], source: Path, what: str) -> None:
    """One sentence with the host, the path, and what to do; nothing is made in folders of its own."""
    (job, *_), work = begun
    gone = work.folder if what == "OUT" else source
    gone.rename(gone.with_name("elsewhere"))
    answer = make_there(astuple(job), lambda: Errand(work, source), running_version())
    assert isinstance(answer, UsageError)
    assert f"{gone} does not exist there. {what} must be in a folder that all hosts see" in str(answer)
    assert not gone.exists()
    gone.with_name("elsewhere").rename(gone)


def test_an_error_of_the_data_is_an_answer(begun: tuple[list[Job], Work], source: Path) -> None:
    """With its traceback for HEADRACE_DEBUG=1; a fault of Headrace is raised."""
    jobs, work = begun
    for path in source.glob("val/images/*"):
        path.write_bytes(b"x" * path.stat().st_size)
    answers = [make_there(astuple(job), lambda: Errand(work, source), running_version()) for job in jobs]
    bad = next(one for one in answers if isinstance(one, DataError))
    assert "not a readable image" in str(bad)
    assert "Traceback" in "".join(bad.__notes__)
    with pytest.raises(TypeError):
        make_there((), lambda: Errand(work, source), running_version())
