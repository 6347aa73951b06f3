"""Measures the whole job on a cold shard set: the set's files are evicted from memory before each timed turn."""

import os
from collections.abc import Sequence
from pathlib import Path

from headrace.shards.errors import UsageError
from headrace.train.doctor.measured import Cold
from headrace.train.doctor.pages import evict, resident_bytes, users_of
from headrace.train.doctor.runners import WholeRunner
from headrace.train.doctor.turns import over_ranks, run_turn
from headrace.train.machine.place import Place


def measure_cold(place: Place, paths: Sequence[Path], whole: WholeRunner, units: int, rounds: int) -> Cold | None:
    """Run the whole job in turns of `units` steps, and evict the training shards from memory before each turn.

    Returns None except on rank 0. Raises UsageError if another process has a training shard open, because an eviction
    would slow that process down.
    """
    size = sum(path.stat().st_size for path in paths)
    ours = {int(pid) for pid in place.world.to_main(str(os.getpid()).encode())}
    windows, left = [], []
    for _ in range(rounds):
        if place.world.is_main:
            if users := users_of(paths, ours):
                number, path = next(iter(users.items()))
                raise UsageError(
                    f"--cold evicts {path} from memory, but process {number} has this file open. Try again when that "
                    "process has ended, or omit --cold"
                )
            evict(paths)
            left.append(resident_bytes(paths))
        whole.distrust()
        windows.append(run_turn(whole, place, units)[1])
    timed = over_ranks(windows, place)
    if timed is None:
        return None
    known = [count for count in left if count is not None]
    return Cold(timed=timed, files=len(paths), bytes=size, left=max(known) / size if known else None)
