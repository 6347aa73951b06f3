"""`headrace prep --part I/N`: makes a part of a set's shards, while processes on any hosts make the other parts.

The first process to start makes a plan, which assigns each image to a shard; all processes read this plan. A process
with --part makes the shards of its part and publishes nothing. The same command without --part keeps these shards,
makes the missing ones and publishes the set. A part may be made twice, or by two processes at once: all processes make
shards with the same bytes, and a shard gets its final name only when it is complete.
"""

import re
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.convert import held, target
from headrace.prep.make import reuse
from headrace.prep.make.bad_images import BadImages
from headrace.prep.make.kept import finished
from headrace.prep.make.planned import Plan, differing
from headrace.prep.make.planning import plan_source
from headrace.prep.make.room import Room
from headrace.prep.make.shard import Work
from headrace.prep.making import make_missing
from headrace.prep.sources.detect import open_files
from headrace.prep.sources.files import Files
from headrace.shards import remains, store
from headrace.shards.counts import counted
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.lock import LockedError
from headrace.shards.targets import refuse_mount_point
from headrace.shards.urls import Location

_PART = re.compile(r"(\d{1,7})/(\d{1,7})")
_LOOK_EVERY = 0.5  # seconds between looks for the plan while another process makes it


class Part(NamedTuple):
    """A part of a set: every `of`-th shard, beginning with shard `number`; the first shard of the set is number 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Parse a text I/N, such as 3/8. Raises UsageError for any other text."""
        found = _PART.fullmatch(text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"--part {text}: expected I/N, with I from 1 to N, such as 3/8 for the third of eight")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def make_plan(source: Location, out: Path, options: Options, *, workers: int, say: Say) -> None:
    """Make only the plan of a set, which assigns each image to a shard; processes with --part read this plan later."""
    out = target(source, out)
    if _is_published(out, options, say):
        return
    with closing(open_files(source, out.parent, options)) as files:
        plan = _plan(files, out, options, workers, say)
    count = sum(map(len, plan.jobs().values()))
    say(f"{Room(out).folder}: a plan of {counted(count, 'shard')} with {counted(plan.images, 'image')}")


def prep_part(source: Location, out: Path, options: Options, part: Part, *, workers: int, say: Say) -> None:
    """Make the shards of a part that do not exist yet. Nothing is removed or published.

    Raises DataError if a source file has changed since the plan was made, and UsageError if the plan was made with
    other options.
    """
    out = target(source, out)
    if _is_published(out, options, say):
        return
    room = Room(out)
    with closing(open_files(source, out.parent, options)) as files:
        plan = _plan(files, out, options, workers, say)
        files.unpack()
        work = Work(room.set_of(plan), room.records_of(plan), plan, files.reader(plan.prefix), options)
        try:
            made, count = make_share(part, work, files, workers, out)
        except HeadraceError:
            if work.folder.exists() or not _is_published(out, options, say):
                raise
            return  # another process published the folder as the set before this part was done
    done = sum(1 for _ in work.records.glob("*.record"))
    total = sum(map(len, plan.jobs().values()))
    say(f"part {part}: {counted(count, 'shard')}, {made} of them made now; {done:,} of the set's {total:,} exist")


def make_share(part: Part, work: Work, files: Files, workers: int, out: Path) -> tuple[int, int]:
    """Make the shards of a part that do not exist yet.

    Return the number of shards that were made now, and the number of all shards of the part.
    """
    remains.remove_all_remains(work.folder)
    jobs = [job for split in work.plan.jobs().values() for job in split][part.number - 1 :: part.of]
    records = finished(jobs, work)
    bad = BadImages(files, work.plan, work.options, [])
    bad.add([one for record in records.values() for one in record.bad])
    missing = [job for job in jobs if job.name not in records]
    make_missing(missing, work, workers, out, bad)
    return len(missing), len(jobs)


def _is_published(out: Path, options: Options, say: Say) -> bool:
    """Whether the requested set has been published already. Raises UsageError if `out` is a different set."""
    manifest = reuse.published(out, options)
    if manifest is not None:
        say(f"{out}: exists already, made with these options; there is nothing to do")
    return manifest is not None


def _plan(files: Files, out: Path, options: Options, workers: int, say: Say) -> Plan:
    """Return the plan that all processes with --part read; make a plan if there is none.

    Raises UsageError if the existing plan was made with other options.
    """
    room, told = Room(out), False
    while (plan := room.found()) is None:
        try:
            with held(out):
                store.recover(out)
                plan = room.found() or _new_plan(files, room, out, options, workers, say)
        except LockedError:
            if not told:
                say(f"{out}: waiting for the plan, which another process is making")
            told = True
            time.sleep(_LOOK_EVERY)
        else:
            break
    if other := differing(plan, options):
        raise UsageError(
            f"{room.folder}: the plan in this folder was made with other options: {', '.join(other)}. Give the same "
            "options, or remove the folder, with everything in it, to begin again"
        )
    return plan


def _new_plan(files: Files, room: Room, out: Path, options: Options, workers: int, say: Say) -> Plan:
    refuse_mount_point(out, "shards")
    with room.planning() as folder:
        planned = plan_source(files, options, folder, workers, say, by_parts=True)
        room.enter(planned.plan)
        return room.publish_plan(planned.plan)
