"""`headrace prep SOURCE URL --append`: adds images to a set in object storage. Existing tars are not uploaded again."""

import time
from contextlib import closing, suppress
from pathlib import Path

from headrace.prep.append import appended, nothing_new, part_of
from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.convert import Result, make_set
from headrace.prep.make.additions import Additions
from headrace.prep.make.base import Base, refuse_as_base
from headrace.prep.make.planning import plan_source
from headrace.prep.make.reuse import stamp_record
from headrace.prep.make.reuse_url import fetch_indexes
from headrace.prep.make.room import Room
from headrace.prep.make.shard import Work
from headrace.prep.sources.detect import open_files
from headrace.prep.sources.files import Files
from headrace.prep.upload import desk_for, refuse_url
from headrace.shards import stamps, store
from headrace.shards.names import STAMP
from headrace.shards.remote import AbsentError
from headrace.shards.urls import Location, Url


def append_to_url(source: Location, out: Url, options: Options, *, new_classes: bool, workers: int, say: Say) -> Result:
    """Append the images of `source` that the set at `out` does not have yet.

    Nothing is changed if this source was converted or appended before with the same options. Raises UsageError if there
    is no set at `out`, or if nothing can be appended to the set. Raises HeadraceError if another prep changes the set
    during the append.
    """
    began = time.monotonic()
    refuse_url(source, out)
    additions = Additions(out)
    with desk_for(out) as desk, closing(open_files(source, desk.parent, options)) as files:
        base = _base(additions, desk, options, new_classes=new_classes)
        line = stamp_record(files, files.stamp(), options)
        if part_of(files, base, options, stamps.parse(base.stamps), line, say) is not None:
            return Result(base.manifest, reused=True, seconds=time.monotonic() - began)
        return _append(files, additions, desk, base, options, workers, began, say)


def _base(additions: Additions, folder: Path, options: Options, *, new_classes: bool) -> Base:
    """Return the existing set at the URL; fetch its indexes, its report and its file of source stamps into `folder`.

    The stamps identify the states of the sources from which the set was made.
    """
    content, manifest = additions.read_set()
    refuse_as_base(additions.url, manifest, options)
    fetch_indexes(additions, manifest, folder)
    with suppress(AbsentError), store.writing(folder), (folder / STAMP).open("wb") as stream:
        additions.remote.download(STAMP, stream)
    return Base.of(additions.url, folder, manifest, content, new_classes=new_classes)


def _append(
    files: Files, additions: Additions, desk: Path, base: Base, options: Options, workers: int, began: float, say: Say
) -> Result:
    stamp, room = files.stamp(), Room(desk)
    with room.planning() as folder:
        planned = plan_source(files, options, folder, workers, say, base=base)
        plan = planned.plan
        if not plan.jobs():
            return nothing_new(planned, base, began)
        additions.claim(plan)
        room.enter(plan)
        work = Work(room.set_of(plan), room.records_of(plan), plan, planned.source.reader, options, additions)
        made = make_set(planned, work, stamp, workers, desk.parent, say)
        if made.manifest.samples == base.manifest.samples:  # all new images are bad
            additions.release()
            return Result(base.manifest, False, time.monotonic() - began, made.tally, added=0)
        additions.publish(work.folder, made.records.values())
    return appended(made, base, began)
