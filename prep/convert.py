"""`headrace prep`: from a source to a published shard set."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.make import publish, reuse
from headrace.prep.make.bad_images import BadImages
from headrace.prep.make.kept import finished, without_changed
from headrace.prep.make.planned import Plan, differing
from headrace.prep.make.planning import Planned, plan_source
from headrace.prep.make.record import Record
from headrace.prep.make.room import Room
from headrace.prep.make.shard import Work
from headrace.prep.make.tally import Tally, tally
from headrace.prep.making import make_missing
from headrace.prep.sources.detect import open_files
from headrace.prep.sources.files import Files
from headrace.shards import headers, store
from headrace.shards.errors import DataError, UsageError
from headrace.shards.lock import locked
from headrace.shards.manifest import Manifest
from headrace.shards.paths import refuse_impossible
from headrace.shards.targets import followed, is_mount_point, refuse_mount_point


@dataclass(frozen=True)
class Result:
    """What a prep came to."""

    manifest: Manifest
    reused: bool
    seconds: float
    tally: Tally = field(default_factory=Tally)
    """What became of the files of the source; empty where the set is reused."""


def prep(source: Path, out: Path, options: Options, *, workers: int, if_exists: str, say: Say) -> Result:
    """Make the shard set `out` from `source`, or find that it is there already."""
    began = time.monotonic()
    out = target(source, out)
    with held(out), closing(open_files(source, out.parent, options)) as files:
        store.recover(out)
        if out.exists():
            reused = reuse.existing(files, out, options, if_exists=if_exists, say=say)
            if reused is not None:
                return Result(reused, reused=True, seconds=time.monotonic() - began)
        refuse_mount_point(out, "shards")
        written, account = _make(files, out, options, workers, say)
        headers.remember(written.manifest)  # every image was admitted
    return Result(written.manifest, reused=False, seconds=time.monotonic() - began, tally=account)


def _make(files: Files, out: Path, options: Options, workers: int, say: Say) -> tuple[publish.Written, Tally]:
    """Make the set and publish it, with the right to write `out`."""
    stamp, room = files.stamp(), Room(out)
    _refuse_other_parts(room.found(), options, room)
    with room.planning() as folder:
        planned = plan_source(files, options, folder, workers, say)
        plan = planned.plan
        _refuse_other_source(room.found(), plan, files, room)
        room.enter(plan)
        room.remove_others(plan)
        work = Work(room.set_of(plan), room.records_of(plan), plan, planned.source.reader, options)
        records, bad = _shards(planned, work, workers, out, say)
        if files.stamp() != stamp:
            raise DataError(f"{files.root}: it changed while prep read it. Run prep again when nothing writes to it")
        known = reuse.stamp_record(files, stamp, options)
        unused = [*planned.source.unused, *planned.dropped]
        source = planned.source
        written = publish.write_set(work, source.layout, source.others, records, unused, known)
        if out.exists() and not reuse.made_by_prep(out):
            say(f"{out}: what was there is kept as {store.set_aside(out)}: not all of it is known to come from prep")
        store.publish(work.folder, out)
        room.close()
    return written, tally(written, unused, planned.source.empty, plan.images, bad.all())


def target(source: Path, out: Path) -> Path:
    """Where a set is to be written. Raises UsageError for paths that cannot be."""
    refuse_impossible(source)
    out = followed(out)
    if source.is_dir() and out.is_relative_to(source.resolve()):
        raise UsageError(f"{out}: it lies inside the source {source}. Choose a folder outside")
    return out


@contextmanager
def held(out: Path) -> Iterator[None]:
    """The right to write `out`. A set at a mount point, or where nothing can be written, can only be reused."""
    if is_mount_point(out) or (out.exists() and not os.access(out.parent, os.W_OK)):
        yield
        return
    with locked(out):
        yield


def _shards(planned: Planned, work: Work, workers: int, out: Path, say: Say) -> tuple[dict[str, Record], BadImages]:
    """The record of every shard, by name, and all images that do not decode."""
    jobs = [job for split in planned.plan.jobs().values() for job in split]
    records = without_changed(finished(jobs, work), jobs, work, say)
    bad = BadImages(planned.source.files, planned.plan, work.options, planned.before)
    if records:
        say(f"continuing an interrupted run: {len(records)} of {len(jobs)} shards are done")
        bad.add([one for job in jobs if job.name in records for one in records[job.name].bad])
    missing = [job for job in jobs if job.name not in records]
    return records | make_missing(missing, work, workers, out, bad), bad


def _refuse_other_parts(there: Plan | None, options: Options, room: Room) -> None:
    """Raise UsageError where others were asked to make parts of a set with other options: their work would be lost."""
    if there is not None and there.by_parts and (other := differing(there, options)):
        raise UsageError(
            f"{room.folder}: parts were made there with other options: {', '.join(other)}. Give these options, or "
            "remove that folder to begin anew"
        )


def _refuse_other_source(there: Plan | None, plan: Plan, files: Files, room: Room) -> None:
    """Raise DataError where they were asked to make them of other files."""
    if there is not None and there.by_parts and there.id != plan.id:
        raise DataError(
            f"{files.root}: its files are not those of which parts were made in {room.folder} (paths, sizes, labels or "
            "classes differ). Give the same source, or remove that folder to begin anew"
        )
