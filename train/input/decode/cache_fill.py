"""Fills the decoded cache, a file with all pixels of a split: one rank of each host decodes while the others wait."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import numpy as np

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.shards.local_copies import note_decoded
from headrace.shards.lock import LockedError, locked
from headrace.shards.shardset import ShardSet
from headrace.train.input.decode.blame import decode_all
from headrace.train.input.decode.cache import CacheFile, lack_of_room
from headrace.train.input.decode.cached import Decoded
from headrace.train.machine.capacity import in_words
from headrace.train.machine.world import World

_BATCH = 256
_TURN_SECONDS = 1.0  # of decoding, between two messages to the waiting ranks
Say = Callable[[str], None]
Work = Generator[bool, None, None]
"""A generator that makes missing caches, and yields True about once a second until they are complete."""


def open_caches(
    shards: ShardSet, files: tuple[CacheFile, ...], world: World, threads: int, say: Say
) -> dict[str, Decoded]:
    """Return a reader for each of these cache files, by the name of the file's split.

    Missing files are made first, by one rank of each host.

    `threads` is the number of CPU threads of one rank. The rank that makes a file uses the threads of the whole host,
    because the other ranks only wait. While one rank makes a file, all ranks exchange a message about once a second:
    otherwise, the waiting ranks could reach the time-out of a collective operation. If a file cannot be made, all ranks
    end.
    """
    fills = world.local_rank == 0
    with closing(_prepare(shards, files, threads * world.local_size, say) if fills else _nothing()) as work:
        while world.any(next(work, False)):
            pass
    # All ranks need the first cache; the rank that fills decides whether there is room for the others.
    return {file.split: Decoded(file, shards) for place, file in enumerate(files) if place == 0 or file.ready}


def open_cache_alone(shards: ShardSet, split: str, folder: Path | None, threads: int, say: Say) -> Decoded:
    """Return a reader for the decoded cache of one split; if the cache is missing, make it first.

    The cache is in `folder`, or beside the shard set if `folder` is None. Ranks exchange no messages. The first process
    that locks the file makes the cache, while other processes wait. Raises UsageError if the cache does not fit.
    """
    file = CacheFile.of(shards, split, folder)
    if lacking := lack_of_room(file):
        raise UsageError(
            f"cache='decoded': {lacking}. Set cache_dir to a folder on another disk, or set cache='none' to decode in "
            "every epoch"
        )
    for _ in _prepare(shards, (file,), threads, say):
        pass
    return Decoded(file, shards)


def _nothing() -> Work:
    yield from ()


def _prepare(shards: ShardSet, files: tuple[CacheFile, ...], threads: int, say: Say) -> Work:
    """Make the missing caches, and report each cache with `say`: its size, and whether it was made or reused."""
    for file in files:
        began, reused = time.perf_counter(), file.ready
        if not reused:
            yield from _fill_or_wait(shards, file, threads, say)
        note_decoded(file.path)
        took = "reused" if reused else f"made in {time.perf_counter() - began:.1f} s"
        say(f"cache    {file.path}: {len(file.widths):,} decoded images, {in_words(file.size)}, {took}")


def _fill_or_wait(shards: ShardSet, file: CacheFile, threads: int, say: Say) -> Work:
    """Fill the cache, or wait while another run fills it."""
    waiting = False
    while not file.ready:
        try:
            with locked(file.path):
                if not file.ready:
                    yield from _fill(shards, file, threads)
        except LockedError:
            if not waiting:
                say(f"cache    {file.path}: another run is making it; waiting")
            waiting = True
            time.sleep(_TURN_SECONDS)
            yield True


def _fill(shards: ShardSet, file: CacheFile, threads: int) -> Work:
    """Decode the split into a new file, and give the file its name only when it is complete.

    The space on the disk is reserved first.
    """
    from headrace.train.input.decode.strips import Keys, strip_sums  # noqa: PLC0415  a run on a GPU without a cache needs no numba

    keys, sums = Keys.for_widths(file.widths), [np.zeros(0, np.uint64)]
    for leftover in file.unfinished:
        leftover.unlink(missing_ok=True)
    split, turn = shards.split(file.split), time.monotonic() + _TURN_SECONDS
    with store.replacing(file.path, file.size) as stream:
        stream.write(file.header)
        for images in decode_all(split, _BATCH, threads=threads):
            for image in images:
                sums.append(strip_sums(image, keys))
                stream.write(image.data)
            if time.monotonic() > turn:
                yield True
                turn = time.monotonic() + _TURN_SECONDS
        stream.write(np.concatenate(sums).astype("<u8").tobytes())
    split.close()
