"""Makes room in the stage for another tar: decides which tars are evicted, and when a run may exceed the limit.

First, tars of other sets that no process uses are evicted, beginning with the least recently used tar. Then tars of the
run's own set are evicted, in an order that the run chooses. A tar that is needed now is fetched even if there is no
room. A tar that is fetched ahead waits for room. But the tars of a set may always take a minimum number of bytes, even
above the limit.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from headrace.shards import regular
from headrace.shards.manifest import Manifest
from headrace.shards.names import MANIFEST
from headrace.shards.stage import Stage, Staged
from headrace.shards.stage_lock import remove_unused
from headrace.shards.store import free_bytes

Choose = Callable[[list[str]], Iterable[str]]
"""Takes the SHA-256 of all staged tars of the run's set; returns those that may be evicted, in order of eviction."""


ANY = 1 << 62
"""The value of `least` for a tar that is needed now: so large that the tar is fetched whether or not there is room."""


class Wanted(NamedTuple):
    """A tar that needs room.

    `least`: the tars of its shard set may take this many bytes of the stage, even if that exceeds the limit.
    """

    sha256: str
    bytes: int
    least: int
    choose: Choose


class Room:
    """Makes room for the tars of one set. Concurrent threads and processes take turns."""

    def __init__(self, stage: Stage, digest: str, own: dict[str, int]) -> None:
        """`own` has the size of each tar of the set in bytes, by its SHA-256."""
        self._stage, self._digest, self.own = stage, digest, own
        self._sets: dict[Path, frozenset[str]] = {}  # tars of a manifest, by its path
        self.tight = False
        """Whether the limit has been exceeded for a tar that was needed at once."""
        self.tell: Callable[[str], None] = _nobody
        """A function that is called with a message the first time that the limit is exceeded."""

    def take(self, wanted: Wanted) -> bool:
        """Reserve room for a tar, which then counts as staged; return False if the tar must wait for room."""
        with self._stage.only("room"):
            tars = list(self._stage.tars())
            taken = {one.sha256: self._size(one) for one in tars}
            if wanted.sha256 in taken and self._stage.tar(wanted.sha256).exists():
                return True
            lacking = self._lacking(tars, sum(taken.values()) - taken.get(wanted.sha256, 0), wanted.bytes)
            gone = self._evict(tars, wanted, lacking) if lacking > 0 else []
            lacking -= sum(one.bytes for one in gone)
            if lacking > 0:
                if self._mine(tars) - self._mine(gone) + wanted.bytes > wanted.least:
                    return False
                self._be_tight(lacking)
            self._stage.reserve(wanted.sha256)
            return True

    def _be_tight(self, lacking: int) -> None:
        if not self.tight:
            self.tight = True
            self.tell(
                f"{self._stage.folder}: the limit is too low for the tars that are needed now and is exceeded by "
                f"{lacking:,} bytes. Raise runtime.stage_limit, or wait for other runs to end"
            )

    def available(self) -> int:
        """The number of bytes that the tars of the set can have in the stage if all tars of unused sets are evicted."""
        with self._stage.only("room"):
            tars, held = list(self._stage.tars()), self._held()
        used = sum(one.bytes for one in tars)
        kept = sum(one.bytes for one in tars if one.sha256 in held)
        return min(self._stage.most(used) - kept, free_bytes(self._stage.folder) + used - kept)

    def _lacking(self, tars: list[Staged], used: int, more: int) -> int:
        """The number of bytes to free so that `more` bytes fit into the limit and into the free space on the disk.

        Space that other downloads have reserved but not written yet does not count as free.
        """
        coming = sum(self._size(one) - one.bytes for one in tars)
        return max(used + more - self._stage.most(used), more - (free_bytes(self._stage.folder) - coming))

    def _size(self, one: Staged) -> int:
        """The size of a staged tar in bytes; for a tar that is being fetched, its final size."""
        return one.bytes if one.whole else max(one.bytes, self.own.get(one.sha256, 0))

    def _mine(self, tars: list[Staged]) -> int:
        """The total size in bytes of those `tars` that belong to the set."""
        return sum(self._size(one) for one in tars if one.sha256 in self.own)

    def _evict(self, tars: list[Staged], wanted: Wanted, lacking: int) -> list[Staged]:
        """Remove the least recently used tars of unused sets, then tars of this set. Returns the removed tars."""
        held = self._held()
        others = [one for one in tars if one.sha256 not in held and one.sha256 not in self.own]
        gone = _remove(sorted(others, key=lambda one: one.used), lacking)
        if (rest := lacking - sum(one.bytes for one in gone)) > 0:
            mine = {one.sha256: one for one in tars if one.sha256 in self.own and one.whole and one.sha256 not in held}
            gone += _remove((mine[sha256] for sha256 in wanted.choose(list(mine))), rest)
        return gone

    def _held(self) -> set[str]:
        """The SHA-256 of the tars of other sets that a process uses."""
        found: set[str] = set()
        for folder in self._stage.set_folders():
            if folder.name != self._digest:
                with self._stage.unused(folder) as unused:
                    if not unused:
                        found.update(*map(self._tars_of, folder.glob(f"*/{MANIFEST}")))
        return found

    def _tars_of(self, path: Path) -> frozenset[str]:
        """The SHA-256 of the tars in the manifest at `path`. The result is cached, because a manifest never changes."""
        if path not in self._sets:
            try:
                manifest = Manifest.model_validate_json(regular.read(path))
            except (OSError, ValidationError):
                return frozenset()
            self._sets[path] = frozenset(shard.sha256 for split in manifest.splits for shard in split.shards)
        return self._sets[path]


def _remove(tars: Iterable[Staged], lacking: int) -> list[Staged]:
    """Remove these tars one by one until `lacking` bytes are freed. Returns the removed tars."""
    gone: list[Staged] = []
    for one in tars:
        if lacking <= 0:
            break
        if remove_unused(one.path):
            lacking -= one.bytes
            gone.append(one)
    return gone


def _nobody(_: str) -> None:
    """Ignore the message."""
