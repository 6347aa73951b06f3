"""Stages tars of a shard set at a URL for the measurements, and measures separately how fast tars arrive."""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock

from headrace.shards.download import File, fetch
from headrace.shards.manifest import ShardInfo
from headrace.shards.remote_set import RemoteSet
from headrace.shards.shard_needs import training_needs
from headrace.shards.stage import DOCTOR
from headrace.shards.staging import THREADS, StagedTars
from headrace.shards.streams import say
from headrace.train.doctor.job import Job
from headrace.train.doctor.measured import Network
from headrace.train.input.plans import TrainPlans
from headrace.train.machine.capacity import in_words
from headrace.train.machine.world import World

_WINDOWS = 3  # windows of each partition to measure on: as many as a run has staged
_LOOK_SECONDS = 0.1


def stage_some(plans: TrainPlans, world: World) -> int | None:
    """Stage (fetch) the tars that the first steps need, and return how many steps these are.

    Without train.window, stages all tars and returns None. Returns None also for a shard set in a folder. Every rank
    must call this function; one rank of each host fetches.
    """
    staged = plans.split.staged
    if staged is None:
        return None
    steps, tars = _first_steps(plans) if plans.order.windows else (None, range(len(plans.split.shard_sizes)))
    if world.local_rank == 0:
        staged.fetch_all(tars)
        if staged.missing:
            say(f"doctor: staging {in_words(staged.bytes - staged.staged_bytes)} first", error=True)
    while world.any(flag=world.local_rank == 0 and _is_missing(staged)):
        time.sleep(_LOOK_SECONDS)
    return steps


def _is_missing(staged: StagedTars) -> bool:
    staged.check()
    return staged.missing > 0


def _first_steps(plans: TrainPlans) -> tuple[int, list[int]]:
    """Return how many first steps need only the first few windows of shards, and the numbers of the tars they need."""
    order, steps, shards = plans.order, plans.steps, plans.split.shard_sizes
    partitions = order.partitions.count if order.partitions else 1
    needs = training_needs(order, shards, steps, range(steps.groups))
    last = max(1, next(islice(needs, _WINDOWS * partitions, None)).first)
    needed = takewhile(lambda need: need.first < last, training_needs(order, shards, steps, range(steps.groups)))
    return last, list(dict.fromkeys(number for need in needed for number in need.shards))


def measure_network(job: Job, seconds: float) -> Network | None:
    """Measure how fast tars arrive while no other part of the job runs.

    Returns None for a shard set in a folder, and on all ranks except rank 0. The tars are fetched as in a run, but into
    a separate folder, for at most `seconds` seconds.
    """
    remote, found = job.setup.shards.remote, None
    if remote is not None and job.place.world.is_main:
        say(f"doctor: fetching tars of {remote.url} for at most {seconds:g} s to measure the network", error=True)
        found = _network(job, remote, _rate(job, remote, seconds))
    job.place.world.any(flag=False)
    return found


def _network(job: Job, remote: RemoteSet, rate: float) -> Network:
    split, train, room = job.plans.split, job.setup.recipe.train, remote.depot.room
    missed = 1 - room.available() / sum(room.own.values())
    return Network(
        images_per_second=rate * len(split) / sum(split.tar_bytes),
        bytes_per_second=rate,
        missed=max(0.0, missed),
        ahead=bool(train.window),
        epochs=train.epochs,
    )


def _rate(job: Job, remote: RemoteSet, seconds: float) -> float:
    """Measure the rate at which tars arrive, in bytes a second."""
    (info,) = (split for split in remote.manifest.splits if split.name == job.plans.split.name)
    stage = remote.depot.stage
    folder = stage.work_folder(DOCTOR)
    with closing(stage.hold(folder)), tempfile.TemporaryDirectory(dir=folder) as name:
        began = time.monotonic()
        fetching = _Fetching(remote, iter(info.shards), Path(name), began + seconds)
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(fetching.work) for _ in range(THREADS)]:
                done.result()
        return fetching.bytes / (time.monotonic() - began)


class _OverError(Exception):
    """Ends a fetch, because the time for measuring the network is over."""


class _Fetching:
    """Fetches tars until the time `until`, or until all are fetched; removes each tar when it is complete."""

    def __init__(self, remote: RemoteSet, shards: Iterator[ShardInfo], folder: Path, until: float) -> None:
        self._remote, self._shards, self._folder, self._until = remote, shards, folder, until
        self._lock = Lock()
        self.bytes = 0

    def work(self) -> None:
        """Fetch tars until the time is over; several threads run this method."""
        with suppress(_OverError):
            while (shard := self._next()) is not None:
                path = self._folder / shard.name
                fetch(self._remote.depot.remote, File(shard.name, shard.bytes, shard.sha256), path, self._came)
                path.unlink()

    def _next(self) -> ShardInfo | None:
        with self._lock:
            return next(self._shards, None)

    def _came(self, size: int) -> None:
        with self._lock:
            self.bytes += size
        if time.monotonic() > self._until:
            raise _OverError
