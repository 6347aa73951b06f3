"""Fetches all tars of a shard set at a URL before a run without train.window, and reports where tars are stored."""

import time
from collections.abc import Generator
from contextlib import ExitStack, closing

from headrace.shards.home import without_home
from headrace.shards.manifest import TRAIN, VALIDATION
from headrace.shards.shardset import ShardSet
from headrace.shards.staging import StagedTars
from headrace.shards.urls import Url
from headrace.train.machine.capacity import in_words
from headrace.train.machine.world import World
from headrace.train.record.folder import RunLog
from headrace.train.run.resolve import Setup

_LOOK_SECONDS = 0.25


def named(shards: ShardSet) -> str:
    """Return the URL of a shard set, or its absolute path, in which "~" may stand for the home folder.

    The path stays valid if the working folder changes.
    """
    return str(shards.where) if isinstance(shards.where, Url) else without_home(str(shards.where.absolute()))


def staged_line(shards: ShardSet) -> list[str]:
    """Return a list of one line that tells where the tars of a set at a URL are stored and how much space they may use.

    The list is empty for a local set.
    """
    if shards.remote is None:
        return []
    depot, stage = shards.remote.depot, shards.remote.depot.stage
    tars = list(stage.tars())
    used, mine = sum(one.bytes for one in tars), sum(one.bytes for one in tars if one.sha256 in depot.room.own)
    limit = "three quarters of the free and staged bytes" if stage.limit is None else "the given limit"
    here = f"has {in_words(mine)} of the set's {in_words(sum(depot.room.own.values()))}"
    return [f"{stage.folder}: {here}; all tars may take {in_words(stage.most(used))}, {limit}"]


def stage_whole(setup: Setup, world: World, log: RunLog) -> None:
    """Fetch all tars of both splits to this host if the shard set is at a URL and the recipe has no train.window.

    One rank of each host fetches. Meanwhile all ranks repeat a short collective operation, because waiting in a single
    operation would time out if fetching takes long.
    """
    if setup.shards.remote is None or setup.recipe.train.window:
        return
    with closing(_stage(setup.shards, log) if world.local_rank == 0 else _nothing()) as work:
        while world.any(next(work, False)):
            pass


def _nothing() -> Generator[bool, None, None]:
    yield from ()


def _stage(shards: ShardSet, log: RunLog) -> Generator[bool, None, None]:
    """Fetch the tars and report the progress. Yields True every 0.25 s as long as tars are missing."""
    with ExitStack() as opened:
        splits = [opened.enter_context(closing(shards.split(name))) for name in (TRAIN, VALIDATION)]
        tars = [split.staged for split in splits if split.staged is not None]
        total, before, began = sum(one.bytes for one in tars), _here(tars), time.monotonic()
        if not any(one.missing for one in tars):
            return
        log.say(f"stage    fetching {in_words(total - before)} first, because the order has no windows (train.window)")
        for one in tars:
            one.fetch_all()
            while one.missing:
                one.check()
                _say_how_far(log, before, _here(tars), total, began)
                yield True
                time.sleep(_LOOK_SECONDS)
    log.console.clear()
    log.say(f"stage    fetched {in_words(total - before)} in {time.monotonic() - began:.1f} s")


def _here(tars: list[StagedTars]) -> int:
    return sum(one.staged_bytes for one in tars)


def _say_how_far(log: RunLog, before: int, here: int, total: int, began: float) -> None:
    rate = (here - before) / max(time.monotonic() - began, 1e-3)
    log.show_staged(here, total, rate)
