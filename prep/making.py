"""The shards of a plan that are missing yet, made by worker processes, with progress and a look at bad images."""

from collections.abc import Sequence
from pathlib import Path

from headrace.prep.command.options import MEGABYTE
from headrace.prep.command.progress import progress
from headrace.prep.make.bad_images import BadImages
from headrace.prep.make.engines.pool import make_shards
from headrace.prep.make.planned import Job
from headrace.prep.make.record import Bad, Record
from headrace.prep.make.shard import Work
from headrace.shards import store
from headrace.shards.errors import HeadraceError

_RESERVE = 64 * MEGABYTE  # for the index, and what other programs write meanwhile


def make_missing(missing: Sequence[Job], work: Work, workers: int, out: Path, bad: BadImages) -> dict[str, Record]:
    """The records of these jobs, by name. Raises FullError where the disk is full; what is finished is kept."""
    _check_space(missing, work, out)
    records = {}
    with progress(sum(job.samples for job in missing), "prep") as report:
        done = 0

        def tick(samples: int, found: list[Bad]) -> None:
            nonlocal done
            done += samples
            report(done)
            bad.add(found)

        try:
            for record in make_shards(list(missing), work, workers, tick):
                records[record.name] = record
        except store.FullError as error:
            raise store.FullError(f"{error}: finished shards are kept") from error
    return records


def _check_space(jobs: Sequence[Job], work: Work, out: Path) -> None:
    needed = sum(work.plan.bytes_of(job) + 2048 * job.samples for job in jobs) + _RESERVE
    free = store.free_bytes(out)
    if free < needed:
        raise HeadraceError(
            f"{out}: {free:,} bytes are free there, about {needed:,} are needed. Free some space or choose another disk"
        )
