"""Finds shards that need not be made again, because an interrupted prep or another process has finished them."""

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from headrace.prep.command.progress import Say
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record, digest_of, load_contents, load_record
from headrace.prep.make.shard import Work
from headrace.prep.sources.files import UNKNOWN_CRC, Entry
from headrace.shards.counts import counted
from headrace.shards.errors import DataError

_THREADS = 16  # most of their time is spent waiting for a disk


def finished(jobs: Sequence[Job], work: Work) -> dict[str, Record]:
    """Return, by shard name, the records of jobs whose shard is undamaged and was made from the files in the plan."""
    if work.uploads is not None:
        return work.uploads.finished(jobs, work.plan, work.records)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda job: _record(job, work), jobs)
        return {record.name: record for record in found if record is not None}


def finished_meanwhile(job: Job, work: Work) -> Record | None:
    """Return the record of a shard that another process has finished since the plan was made.

    Return None if there is no such shard, or if the modification time of a source file differs from the plan's.
    """
    record = _record(job, work)
    try:
        return record if record is not None and not _of_other_times(job, work) else None
    except (OSError, ValueError):  # it has changed since it was loaded
        return None


def without_changed(records: dict[str, Record], jobs: Sequence[Job], work: Work, say: Say) -> dict[str, Record]:
    """Return the records of those shards whose source files still have the same contents.

    A file counts as unchanged if its modification time is the recorded one. Any other file, for example in a copy of
    the source, is read and its CRC-32 is compared.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        own = [job for job in jobs if job.name in records]
        others = dict(
            zip((job.name for job in own), pool.map(lambda job: _of_other_times(job, work), own), strict=True)
        )
        files = sum(map(len, others.values()))
        if files:
            say(f"the modification times of {counted(files, 'file')} of finished shards differ; comparing contents")
        same = pool.map(lambda name: all(_has_crc(entry, crc, work) for entry, crc in others[name]), others)
        return {name: records[name] for name, equal in zip(others, same, strict=True) if equal}


def _record(job: Job, work: Work) -> Record | None:
    record = load_record(work.records, work.folder, job.name)
    return record if record is not None and record.made_of == digest_of(work.plan.listed(job)) else None


def _of_other_times(job: Job, work: Work) -> list[tuple[Entry, int]]:
    """Return the files of a finished shard whose modification times differ from the recorded ones.

    Each file is returned with its recorded CRC-32. Files whose CRC-32 is in the plan are skipped.
    """
    contents, files = load_contents(work.records, job.name), work.plan.listed(job).files
    rows = np.flatnonzero((contents.times != files.times) & (files.crcs == UNKNOWN_CRC))
    return list(zip(files.take(rows), contents.crcs[rows].tolist(), strict=True))


def _has_crc(entry: Entry, crc: int, work: Work) -> bool:
    seen = 0
    try:
        for data in work.reader.chunks(entry):
            seen = zlib.crc32(data, seen)
    except DataError:
        return False  # the shard is made again, and the error is reported there
    return seen == crc
