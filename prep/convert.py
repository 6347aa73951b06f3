"""`headrace prep`: from a source to a published shard set."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headrace.prep.command.counts import counted
from headrace.prep.command.options import MEGABYTE, Options
from headrace.prep.command.progress import Say, progress
from headrace.prep.make import plan, publish, reuse
from headrace.prep.make.bad_images import BadImages, bad_in
from headrace.prep.make.engines.pool import make_shards
from headrace.prep.make.lost_classes import lost_classes
from headrace.prep.make.record import Bad, Record, load_record
from headrace.prep.make.shard import Job, Work
from headrace.prep.make.tally import Tally, tally
from headrace.prep.sources import kinds
from headrace.prep.sources.detect import open_files, open_source
from headrace.prep.sources.files import REPLACED, SYMBOLIC, Files
from headrace.prep.sources.source import Source, States, states
from headrace.shards import headers, regular, store
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.lock import locked
from headrace.shards.manifest import Manifest
from headrace.shards.paths import refuse_impossible
from headrace.shards.targets import followed, is_mount_point, refuse_mount_point, refuse_of_others

_PLAN = "plan.json"  # in the work folder: what the finished shards there belong to
_RESERVE = 64 * MEGABYTE  # for the index, and what other programs write meanwhile


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
    refuse_impossible(source)
    out = followed(out)
    if source.is_dir() and out.is_relative_to(source.resolve()):
        raise UsageError(f"{out}: it lies inside the source {source}. Choose a folder outside")
    with _held(out), closing(open_files(source, out.parent, options)) as files:
        store.recover(out)
        if out.exists():
            reused = reuse.existing(files, out, options, if_exists=if_exists, say=say)
            if reused is not None:
                return Result(reused, reused=True, seconds=time.monotonic() - began)
        refuse_mount_point(out, "shards")
        stamp = files.stamp()
        chosen = open_source(files, options)
        _refuse_lost_images(files, options)
        for remark in chosen.remarks:
            say(f"{source}: {remark}")
        made = _make_splits(chosen, out, options, stamp, workers, say)
        if files.stamp() != stamp:
            raise DataError(f"{source}: it changed while prep read it. Run prep again when nothing writes to it")
        work = store.work_folder(out)
        manifest = publish.write_set(
            work, made.source, options, made.shards, made.dropped, reuse.stamp_record(files, stamp, options)
        )
        if out.exists() and not reuse.made_by_prep(out):
            say(f"{out}: what was there is kept as {store.set_aside(out)}: not all of it is known to come from prep")
        store.publish(work, out)
        headers.remember(manifest)  # every image was admitted
    return Result(manifest, reused=False, seconds=time.monotonic() - began, tally=made.tally)


class _Made(NamedTuple):
    source: Source  # without the classes that are dropped
    shards: dict[str, list[tuple[Job, Record]]]  # by split
    dropped: list[States]  # the images of these classes
    tally: Tally


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """The right to write `out`. A set at a mount point, or where nothing can be written, can only be reused."""
    if is_mount_point(out) or (out.exists() and not os.access(out.parent, os.W_OK)):
        yield
        return
    with locked(out):
        yield


def _make_splits(source: Source, out: Path, options: Options, stamp: str, workers: int, say: Say) -> _Made:
    """All shards, by split, and what of the source is in them."""
    images = sum(len(listed.labels) for listed in source.splits.values())
    lost = lost_classes(source, options, workers)
    labels = sorted({one.label for one in lost})
    before = [(source.classes[one.label].id, one) for one in lost]
    dropped = [states(part.part(np.isin(part.labels, labels)).files, source.reader) for part in source.splits.values()]
    if labels:
        source = source.without(labels, {one.path: one.reason for one in lost})
    found = BadImages(source, options, images, before)
    jobs = _jobs(source, options)
    work = Work(_work_folder(out, options, stamp, source), source.reader, options)
    records = _make(jobs, work, workers, out, found, say)
    made = {name: [(job, records[job.name]) for job in split] for name, split in jobs.items()}
    return _Made(source, made, dropped, tally(source, list(records.values()), images, found.all()))


def _refuse_lost_images(files: Files, options: Options) -> None:
    """Raise DataError where an image is lost, as it is a link, say, unless such are skipped."""
    lost = ((path, reason) for path, reason in files.left_out if reason != REPLACED)
    images = [
        one for one in lost if kinds.has_image_ending(one[0]) and not any(map(kinds.is_hidden, one[0].split("/")))
    ]
    if images and options.on_bad != "skip":
        path, reason = images[0]
        follow = "Give --follow-links to read what they lead to, put" if reason == SYMBOLIC else "Put"
        raise DataError(
            f"{files.root}: {path}: {reason} ({counted(len(images), 'such image')}). {follow} plain files in "
            "their place, as `cp -rL` and `tar -h` do for links, or leave them out with --on-bad skip"
        )


def _jobs(source: Source, options: Options) -> dict[str, list[Job]]:
    """The shards of each split."""
    jobs = {}
    for name, listed in source.splits.items():
        if not len(listed.labels):
            raise UsageError(f"{source.files.root}: split {name} has no samples")
        order = plan.permutation(len(listed.labels), options.seed, name)
        count = plan.shard_count(
            listed.files.sizes, samples_per_shard=options.samples_per_shard, shard_bytes=options.shard_size * MEGABYTE
        )
        jobs[name] = [
            Job(
                plan.shard_name(name, number),
                number,
                first,
                listed.files.take(order[first:last]),
                listed.labels[order[first:last]],
            )
            for number, (first, last) in enumerate(plan.cuts(len(order), count))
        ]
    return jobs


def _work_folder(out: Path, options: Options, stamp: str, source: Source) -> Path:
    """The folder to fill: what an interrupted run of the same plan left there is kept, anything else is removed."""
    facts = [publish.WRITER, options.deciding(), stamp, source.layout, [[one.id, one.name] for one in source.classes]]
    identity = hashlib.sha256(json.dumps(facts).encode()).hexdigest().encode()
    work = store.work_folder(out)
    try:
        refuse_of_others(work)
        if work.is_symlink():
            store.discard(work)
        if work.exists() and (not (work / _PLAN).exists() or regular.read(work / _PLAN) != identity):
            store.discard(work)
        work.mkdir(exist_ok=True)
        if not (work / _PLAN).exists():
            store.write_bytes(work / _PLAN, identity)
    except OSError as error:
        raise store.storage_error(error, work) from error
    return work


def _make(
    jobs: dict[str, list[Job]], work: Work, workers: int, out: Path, bad: BadImages, say: Say
) -> dict[str, Record]:
    """The record of every shard, by name."""
    every = [job for split in jobs.values() for job in split]
    kept = {job.name: load_record(work.folder, job.name) for job in every}
    records = {name: record for name, record in kept.items() if record is not None}
    missing = [job for job in every if job.name not in records]
    if records:
        say(f"continuing an interrupted run: {len(records)} of {len(every)} shards are done")
        bad.add([one for job in every if job.name in records for one in bad_in(job, records[job.name])])
    _check_space(missing, out)
    with progress(sum(len(job.labels) for job in missing), "prep") as report:
        done = 0

        def tick(samples: int, found: list[Bad]) -> None:
            nonlocal done
            done += samples
            report(done)
            bad.add(found)

        try:
            for record in make_shards(missing, work, workers, tick):
                records[record.name] = record
        except store.FullError as error:
            raise store.FullError(f"{error}: finished shards are kept") from error
    return records


def _check_space(jobs: list[Job], out: Path) -> None:
    needed = sum(int(job.files.sizes.sum()) + 2048 * len(job.labels) for job in jobs) + _RESERVE
    free = store.free_bytes(out)
    if free < needed:
        raise HeadraceError(
            f"{out}: {free:,} bytes are free there, about {needed:,} are needed. Free some space or choose another disk"
        )
