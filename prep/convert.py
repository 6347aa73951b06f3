"""`headrace prep SOURCE OUT`: converts a data set to a shard set, and publishes the set when it is complete."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.make import publish, reuse
from headrace.prep.make.bad_images import BadImages
from headrace.prep.make.engines.engine import Engine
from headrace.prep.make.engines.pool import make_shards
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
from headrace.shards.urls import Location


@dataclass(frozen=True)
class Result:
    """The result of `headrace prep`, with or without --append, or of `headrace subset`."""

    manifest: Manifest
    reused: bool
    seconds: float
    tally: Tally = field(default_factory=Tally)
    """Counts of source files that were omitted or changed; empty if an existing set was reused."""
    added: int | None = None
    """The number of samples that were appended; None if a whole set was made or reused."""


class Made(NamedTuple):
    """A complete set that is not published yet."""

    manifest: Manifest
    records: dict[str, Record]  # of its shards, by name
    tally: Tally


def prep(
    source: Location,
    out: Path,
    options: Options,
    *,
    workers: int,
    if_exists: str,
    say: Say,
    engine: Engine = make_shards,
) -> Result:
    """Make the shard set `out` from `source`; return its manifest and the counts for the summary.

    If there is a set at `out` already, `if_exists` ("reuse", "rebuild" or "error") says what to do with that set.
    """
    began = time.monotonic()
    out = target(source, out)
    with held(out), closing(open_files(source, out.parent, options)) as files:
        store.recover(out)
        if out.exists():
            reused = reuse.existing(files, out, options, if_exists=if_exists, say=say)
            if reused is not None:
                return Result(reused, reused=True, seconds=time.monotonic() - began)
        refuse_mount_point(out, "shards")
        made = _make(files, out, options, workers, say, engine)
        headers.remember(made.manifest)  # every image was admitted
    return Result(made.manifest, reused=False, seconds=time.monotonic() - began, tally=made.tally)


def _make(files: Files, out: Path, options: Options, workers: int, say: Say, engine: Engine) -> Made:
    """Make the set and publish it. The caller must be inside the context `held(out)`, which locks `out`."""
    stamp, room = files.stamp(), Room(out)
    _refuse_other_parts(room.found(), options, room)
    with room.planning() as folder:
        planned = plan_source(files, options, folder, workers, say)
        plan = planned.plan
        _refuse_other_source(room.found(), plan, files, room)
        room.enter(plan)
        room.remove_others(plan)
        work = Work(room.set_of(plan), room.records_of(plan), plan, planned.source.reader, options)
        made = make_set(planned, work, stamp, workers, out, say, engine)
        if out.exists() and not reuse.made_by_prep(out):
            say(f"{out}: kept the previous content as {store.set_aside(out)}: prep may not have made it all")
        store.publish(work.folder, out)
        room.close()
    return made


def make_set(
    planned: Planned, work: Work, stamp: str, workers: int, out: Path, say: Say, engine: Engine = make_shards
) -> Made:
    """Make the missing shards of a planned set, and its other files, in the folder of `work`; do not publish the set.

    `stamp` is a text that identified the state of the source files before planning. Raises DataError if the source has
    another stamp after the shards are made.
    """
    source = planned.source
    records, bad = _all_shards(planned, work, workers, out, say, engine)
    if source.files.stamp() != stamp:
        raise DataError(
            f"{source.files.root}: the source changed while prep read it. Run prep again when no program writes to the "
            "source"
        )
    known = reuse.stamp_record(source.files, stamp, work.options)
    unused = [*source.unused, *planned.dropped]
    written = publish.write_set(work, source.layout, source.others, records, unused, known, planned.base)
    account = tally(written, unused, source.empty, work.plan.images, bad.all())
    return Made(written.manifest, records, account)


def target(source: Location, out: Path) -> Path:
    """Return the folder to which the set is written: `out`, with symbolic links followed.

    Raises UsageError for an invalid path, or if `out` is inside the source.
    """
    if isinstance(source, Path):
        refuse_impossible(source)
    out = followed(out)
    if isinstance(source, Path) and source.is_dir() and out.is_relative_to(source.resolve()):
        raise UsageError(f"{out}: this folder lies inside the source {source}. Choose a folder outside")
    return out


@contextmanager
def held(out: Path) -> Iterator[None]:
    """A context in which only this process may write `out`.

    No lock is taken if `out` is a mount point, or if `out` exists in a folder that is not writable: a set at such a
    path can be reused, but not replaced.
    """
    if is_mount_point(out) or (out.exists() and not os.access(out.parent, os.W_OK)):
        yield
        return
    with locked(out):
        yield


def _all_shards(
    planned: Planned, work: Work, workers: int, out: Path, say: Say, engine: Engine
) -> tuple[dict[str, Record], BadImages]:
    """Make all shards that are not finished yet; return the records of all shards by name, and the bad images."""
    jobs = [job for split in planned.plan.jobs().values() for job in split]
    there = finished(jobs, work)
    records = without_changed(there, jobs, work, say)
    if work.uploads is not None:
        work.uploads.forget(there.keys() - records.keys(), work.plan)
    bad = BadImages(planned.source.files, planned.plan, work.options, planned.before)
    if records:
        say(f"continuing an interrupted run: {len(records)} of {len(jobs)} shards are done")
        bad.add([one for job in jobs if job.name in records for one in records[job.name].bad])
    missing = [job for job in jobs if job.name not in records]
    return records | make_missing(missing, work, workers, out, bad, engine), bad


def _refuse_other_parts(there: Plan | None, options: Options, room: Room) -> None:
    """Raise UsageError if processes with --part made shards with other options: this run would remove those shards."""
    if there is not None and there.by_parts and (other := differing(there, options)):
        raise UsageError(
            f"{room.folder}: parts of the set were made there with other options: {', '.join(other)}. Give the earlier "
            "options, or remove that folder to begin again"
        )


def _refuse_other_source(there: Plan | None, plan: Plan, files: Files, room: Room) -> None:
    """Raise DataError if processes with --part made shards from other source files than those of this run."""
    if there is not None and there.by_parts and there.id != plan.id:
        raise DataError(
            f"{files.root}: processes with --part made shards in {room.folder} from other files (paths, sizes, labels "
            "or classes differ). Give the earlier source, or remove that folder to begin again"
        )
