"""`headrace prep` to a URL: makes the set on this machine's disk, a few shards at a time, and uploads it.

A set in object storage is never replaced by a new one, because other programs may be reading it.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.convert import Made, Result, make_set
from headrace.prep.make.planned import Plan, differing
from headrace.prep.make.planning import plan_source
from headrace.prep.make.reuse_url import existing_at, published_at
from headrace.prep.make.room import Room
from headrace.prep.make.shard import Work
from headrace.prep.make.uploads import Uploads
from headrace.prep.part import Part, make_share
from headrace.prep.sources.detect import open_files
from headrace.prep.sources.files import Files
from headrace.shards import headers, store
from headrace.shards.counts import counted
from headrace.shards.errors import UsageError
from headrace.shards.lock import locked
from headrace.shards.stage import PREP, Stage
from headrace.shards.urls import Location, Url


def prep_to_url(source: Location, out: Url, options: Options, *, workers: int, if_exists: str, say: Say) -> Result:
    """Make the shard set at `out` from `source`, unless the set exists already."""
    began = time.monotonic()
    refuse_url(source, out, if_exists)
    uploads = Uploads(out)
    with desk_for(out) as desk, closing(open_files(source, desk.parent, options)) as files:
        reused = existing_at(files, uploads, options, desk, if_exists=if_exists, say=say)
        if reused is not None:
            return Result(reused, reused=True, seconds=time.monotonic() - began)
        made = _make(files, uploads, desk, options, workers, say)
        headers.remember(made.manifest)  # every image was admitted
    return Result(made.manifest, reused=False, seconds=time.monotonic() - began, tally=made.tally)


def make_plan_at(source: Location, out: Url, options: Options, *, workers: int, say: Say) -> None:
    """Make only the plan of a set, which assigns each image to a shard, and store the plan at the URL.

    Processes with --part read the plan there.
    """
    refuse_url(source, out)
    uploads = Uploads(out)
    if _is_published(uploads, options, say):
        return
    with desk_for(out, "plan") as desk, closing(open_files(source, desk.parent, options)) as files:
        with Room(desk).planning() as folder:
            plan = _plan(files, uploads, folder, options, workers, say)
        count = sum(map(len, plan.jobs().values()))
        say(f"{out}: a plan of {counted(count, 'shard')} with {counted(plan.images, 'image')}")


def prep_part_at(source: Location, out: Url, options: Options, part: Part, *, workers: int, say: Say) -> None:
    """Make the shards of a part that do not exist at the URL yet, and upload them; do not publish the set."""
    refuse_url(source, out)
    uploads = Uploads(out)
    if _is_published(uploads, options, say):
        return
    with desk_for(out, str(part)) as desk, closing(open_files(source, desk.parent, options)) as files:
        room = Room(desk)
        with room.planning() as folder:
            plan = _plan(files, uploads, folder, options, workers, say)
            room.enter(plan)
            files.unpack()
            work = Work(room.set_of(plan), room.records_of(plan), plan, files.reader(plan.prefix), options, uploads)
            made, count = make_share(part, work, files, workers, desk.parent)
        say(f"part {part}: {counted(count, 'shard')}, {made} of them made now")


def _make(files: Files, uploads: Uploads, desk: Path, options: Options, workers: int, say: Say) -> Made:
    stamp, room = files.stamp(), Room(desk)
    with room.planning() as folder:
        planned = plan_source(files, options, folder, workers, say)
        plan = planned.plan
        uploads.claim(plan)
        room.enter(plan)
        work = Work(room.set_of(plan), room.records_of(plan), plan, planned.source.reader, options, uploads)
        made = make_set(planned, work, stamp, workers, desk.parent, say)
        uploads.publish(work.folder, made.records.values())
    return made


def _plan(files: Files, uploads: Uploads, folder: Path, options: Options, workers: int, say: Say) -> Plan:
    """Return the plan at the URL; if there is none, make a plan and store it there.

    Raises UsageError if the plan was made with other options, or if another set is being made at the URL.
    """
    plan = uploads.fetch_plan(folder)
    if plan is None:
        for path in folder.iterdir():
            path.unlink()
        plan = plan_source(files, options, folder, workers, say, by_parts=True).plan
        uploads.claim(plan)
    if other := differing(plan, options):
        raise UsageError(
            f"{uploads.url}: the set that is being made at this URL has other options: {', '.join(other)}. Give the "
            "same options, or choose another OUT"
        )
    return plan


def _is_published(uploads: Uploads, options: Options, say: Say) -> bool:
    found = published_at(uploads, options)
    if found is not None:
        say(f"{uploads.url}: exists already, made with these options; there is nothing to do")
    return found is not None


def refuse_url(source: Location, out: Url, if_exists: str = "reuse") -> None:
    """Raise UsageError if `out` is on a web server or inside the source, or if `if_exists` is "rebuild"."""
    if not out.in_bucket:
        raise UsageError(f"{out}: a web server cannot be written to. Give a URL of s3://, gs:// or az://, or a folder")
    if isinstance(source, Url) and f"{out}/".startswith(f"{source}/"):
        raise UsageError(f"{out}: this URL lies inside the source {source}. Choose a URL outside")
    if if_exists == "rebuild":
        raise UsageError(
            f"{out}: --if-exists rebuild is not possible for a set at a URL, because other programs may be reading the "
            "set. Choose another OUT"
        )


@contextmanager
def desk_for(out: Url, purpose: str = "") -> Iterator[Path]:
    """A context with a path on this machine's disk where the set is made; on exit, the files at the path are removed.

    Raises LockedError if another process on this machine uses the path.
    """
    name = hashlib.sha256(f"{out}\0{purpose}".encode()).hexdigest()[:16]
    stage = Stage.of()
    folder = stage.work_folder(PREP)
    desk = folder / name
    with closing(stage.hold(folder)), locked(desk):
        _clear(desk)
        try:
            yield desk
        finally:
            _clear(desk)


def _clear(desk: Path) -> None:
    with store.writing(desk):
        store.discard(desk)
        Room(desk).close()
