"""`headrace prep SOURCE OUT --append`: adds images to a shard set, in new tars that follow the existing ones.

The existing tars are hard-linked into a new folder, or copied if the disk has no hard links. The new folder then
replaces the old folder. A process that has opened the old set can continue to read the old set.
"""

import time
from contextlib import closing
from pathlib import Path

from headrace.prep.command.options import Options
from headrace.prep.command.progress import Say
from headrace.prep.convert import Made, Result, held, make_set, target
from headrace.prep.make import reuse
from headrace.prep.make.base import Base, refuse_as_base
from headrace.prep.make.engines.engine import Engine
from headrace.prep.make.engines.pool import make_shards
from headrace.prep.make.planning import Planned, plan_source
from headrace.prep.make.room import Room
from headrace.prep.make.shard import Work
from headrace.prep.make.tally import Tally, reasons_of
from headrace.prep.sources.detect import open_files, open_source
from headrace.prep.sources.files import Files
from headrace.shards import headers, regular, stamps, store
from headrace.shards.counts import first_of
from headrace.shards.errors import UsageError
from headrace.shards.manifest import NAME, Manifest
from headrace.shards.names import REPORT, STAMP
from headrace.shards.shardset import ShardSet
from headrace.shards.targets import refuse_mount_point
from headrace.shards.urls import Location

_SHOWN = 5  # names in a line


def append(
    source: Location,
    out: Path,
    options: Options,
    *,
    new_classes: bool,
    workers: int,
    say: Say,
    engine: Engine = make_shards,
) -> Result:
    """Append the images of `source` that the set `out` does not have yet.

    Nothing is changed if this source was converted or appended before with the same options. Raises UsageError if there
    is no set at `out`, or if nothing can be appended to the set.
    """
    began = time.monotonic()
    out = target(source, out)
    with held(out), closing(open_files(source, out.parent, options)) as files:
        store.recover(out)
        base = _base(out, options, new_classes=new_classes)
        known = stamps.read(out)
        line = reuse.stamp_record(files, files.stamp(), options)
        number = part_of(files, base, options, known, line, say)
        if number is not None:
            if reuse.part_by_stamp(files, base.manifest, options, known, line) is None:
                reuse.remember(out, number, line, say)
            return Result(base.manifest, reused=True, seconds=time.monotonic() - began)
        refuse_mount_point(out, "shards")
        return _append(files, out, base, options, workers, began, say, engine)


def part_of(files: Files, base: Base, options: Options, known: list[stamps.Stamp], line: bytes, say: Say) -> int | None:
    """Return the number of the set's part that was made from this source with these options, or None.

    A part of a set consists of the samples of one prep or of one append. `line` is the result of `reuse.stamp_record`
    for the source in its current state.
    """
    numbers = reuse.parts_with(base.where, base.manifest, options)
    found = reuse.part_by_stamp(files, base.manifest, options, known, line)
    if found is not None or not numbers:
        return found
    source = open_source(files, options)
    count = sum(len(chunk.paths) for chunk in source.chunks()) + len(source.others)
    if count not in {base.manifest.parts[one].source.files for one in numbers}:
        return None  # this is certain without reading any file
    say(f"{files.root}: as many files as the source of a part of {base.where}; comparing their contents")
    return reuse.part_by_contents(files, source, base.manifest, options)[0]


def nothing_new(planned: Planned, base: Base, began: float) -> Result:
    """The result of an append that finds no new image in the source and leaves the set unchanged."""
    left_out = reasons_of([*planned.source.unused, *planned.dropped])
    account = Tally(planned.plan.images, unused=left_out)
    return Result(base.manifest, reused=False, seconds=time.monotonic() - began, tally=account, added=0)


def appended(made: Made, base: Base, began: float) -> Result:
    """The result of an append that has added samples to the set."""
    if headers.remembered(base.manifest):
        headers.remember(made.manifest)  # because the appended images were admitted just now
    added = made.manifest.samples - base.manifest.samples
    return Result(made.manifest, reused=False, seconds=time.monotonic() - began, tally=made.tally, added=added)


def _base(out: Path, options: Options, *, new_classes: bool) -> Base:
    """Return the existing set at `out`.

    Raises UsageError if there is no set, or if nothing can be appended to the set.
    """
    if not (out / NAME).exists():
        raise UsageError(
            f"{out}: there is no shard set to append to. Omit --append to make one, or give the folder of a shard set"
        )
    manifest = ShardSet.open(out).manifest
    refuse_as_base(out, manifest, options)
    if names := reuse.foreign(out, manifest):
        raise UsageError(
            f"{out}: the folder contains files that prep did not write: {first_of(names, _SHOWN)}. --append would "
            "replace the folder by a new one without these files. Move these files elsewhere first"
        )
    return Base.of(out, out, manifest, regular.read(out / NAME), new_classes=new_classes)


def _append(
    files: Files, out: Path, base: Base, options: Options, workers: int, began: float, say: Say, engine: Engine
) -> Result:
    stamp, room = files.stamp(), Room(out)
    with room.planning() as folder:
        planned = plan_source(files, options, folder, workers, say, base=base)
        plan = planned.plan
        if not plan.jobs():
            return nothing_new(planned, base, began)
        room.enter(plan)
        room.remove_others(plan)
        work = Work(room.set_of(plan), room.records_of(plan), plan, planned.source.reader, options)
        made = make_set(planned, work, stamp, workers, out, say, engine)
        if made.manifest.samples == base.manifest.samples:  # all new images are bad
            room.close()
            return Result(base.manifest, False, time.monotonic() - began, made.tally, added=0)
        _link(out, base.manifest, made.manifest, work.folder)
        store.publish(work.folder, out)
        room.close()
    return appended(made, base, began)


def _link(out: Path, old: Manifest, new: Manifest, folder: Path) -> None:
    """Hard-link the old set's tars and indexes into the new folder; readers of the old set still need its indexes."""
    indexes = {split.index.name for split in new.splits} - {split.index.name for split in old.splits}
    for path in sorted(out.iterdir()):
        if path.name not in {NAME, STAMP, REPORT, *indexes} and not path.name.endswith(store.PARTIAL):
            store.link(path, folder / path.name)
