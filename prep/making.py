"""Makes those shards of a set that do not exist yet, and shows the progress; stops if too many images do not decode."""

from collections.abc import Sequence
from pathlib import Path

from headrace.prep.command.options import MEGABYTE
from headrace.prep.command.progress import progress
from headrace.prep.make.bad_images import BadImages
from headrace.prep.make.engines.engine import Engine
from headrace.prep.make.engines.pool import make_shards
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Bad, Record
from headrace.prep.make.shard import Work
from headrace.prep.make.space import refuse_small_disk
from headrace.shards import store

_RESERVE = 64 * MEGABYTE  # for the index, and for what other programs write meanwhile


def make_missing(
    missing: Sequence[Job], work: Work, workers: int, out: Path, bad: BadImages, engine: Engine = make_shards
) -> dict[str, Record]:
    """Make one shard for each job in `missing`; return the records, which describe the shards, by shard name.

    Raises FullError if the disk is full; finished shards are kept.
    """
    _check_space(missing, work, out, workers)
    records = {}
    with progress(sum(job.samples for job in missing), "prep") as report:
        done = 0

        def tick(samples: int, found: list[Bad]) -> None:
            nonlocal done
            done += samples
            report(done)
            bad.add(found)

        try:
            for record in engine(list(missing), work, workers, tick):
                records[record.name] = record
        except store.FullError as error:
            raise store.FullError(f"{error}: finished shards are kept") from error
    return records


def _check_space(jobs: Sequence[Job], work: Work, out: Path, workers: int) -> None:
    sizes = sorted((work.plan.bytes_of(job) + 2048 * job.samples for job in jobs), reverse=True)
    needed = sum(sizes if work.uploads is None else sizes[:workers]) + _RESERVE  # those that are on this disk at a time
    refuse_small_disk(out, needed)
