"""Describes the environment of a run: versions, machine, shard set, and the commit if the code is in a repository."""

import platform
from typing import Any

from headrace.shards.cores import usable_cores
from headrace.train.machine.device import Accelerator
from headrace.train.machine.world import World
from headrace.train.record.installation import commit, processor, versions


def describe(accelerator: Accelerator, world: World, threads: int, precision: str, shard_set: str) -> dict[str, Any]:
    """Return the environment of a run as plain values, for environment.json."""
    return {
        "versions": {"python": platform.python_version(), **versions()},
        "commit": commit(),
        "device": accelerator.name,
        "processor": processor(),
        "cores": usable_cores(),
        "processes": world.size,
        "threads": threads,
        "precision": precision,
        "shard_set": shard_set,
    }
