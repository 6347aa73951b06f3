"""Checks that all hosts see the same run folder, because after a restart rank 0 may run on any host."""

import os
import time
from contextlib import suppress
from pathlib import Path

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.train.machine.world import World

_SECONDS, _POLL_SECONDS = 30.0, 0.25  # a network disk may show a new name late


def refuse_unshared(out: Path, world: World, *, own: bool) -> None:
    """Raise UsageError on all ranks if any rank does not see rank 0's run folder. All ranks must call this function.

    Rank 0, which has made the folder `out`, writes a new file there and tells the other ranks the file's name. With
    `own`, the other ranks look for the file in their own `out`; otherwise they look for it under the path that rank 0
    sends.
    """
    if world.local_size == world.size:
        return
    token = os.urandom(16).hex()
    folder, name, content = world.from_main([str(out), f".shared-{token[:16]}", token[16:]])
    path = (out if own else Path(folder)) / name
    if world.is_main:
        store.write_bytes(path, content.encode())
    trouble = "" if _seen(path, content) else _trouble(path.parent, world, folder)
    troubles = world.to_main(trouble.encode())
    verdict = world.from_main(next((one.decode() for one in troubles if one), ""))
    if world.is_main:
        path.unlink(missing_ok=True)
    if verdict:
        raise UsageError(verdict)


def _seen(path: Path, content: str) -> bool:
    """Return whether the file at `path` has this content; wait up to 30 s for the content to appear."""
    end = time.monotonic() + _SECONDS
    while True:
        with suppress(OSError):
            list(path.parent.iterdir())  # makes a network disk read the folder again
            if path.read_text(encoding="ascii") == content:
                return True
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)


def _trouble(folder: Path, world: World, main: str) -> str:
    return (
        f"rank {world.rank} on {os.uname().nodename}: {folder} is not the run folder {main} of rank 0: a file that "
        f"rank 0 wrote there did not appear within {_SECONDS:.0f} s. Give --out a folder that all hosts share"
    )
