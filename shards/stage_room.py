"""Makes room in the stage for another tar: which tars are evicted, and when a run may exceed the limit.

Tars of other sets are evicted first, the least recently used before others, unless a running process uses their set.
Within its own set, a run chooses the tars to evict. A tar that is needed now is fetched even if there is no room; tars
fetched ahead wait for room, except for the minimum that their set may always have.
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
"""Given the staged tars of the own set by SHA-256, returns those that may be evicted, in order of eviction."""


ANY = 1 << 62
"""A minimum that is always exceeded: the tar is needed now, whether or not there is room."""


class Wanted(NamedTuple):
    """A tar that needs room. `least`: bytes that its set may always have, whether or not there is room."""

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
        """Whether the limit was exceeded for tars that were needed now."""
        self.tell: Callable[[str], None] = _nobody
        """Called with a message the first time that the limit is exceeded."""

    def take(self, wanted: Wanted) -> bool:
        """Reserve room for a tar, which then counts as present; False if it has to wait for others to be evicted."""
        with self._stage.only("room"):
            tars = list(self._stage.tars())
            taken = {one.sha256: self._size(one) for one in tars}
            if wanted.sha256 in taken and self._stage.tar(wanted.sha256).exists():
                return True
            lacking = self._lacking(sum(taken.values()) - taken.get(wanted.sha256, 0), wanted.bytes)
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
        """The bytes of tars that the set can have here, if all tars are evicted that may be."""
        with self._stage.only("room"):
            tars, held = list(self._stage.tars()), self._held()
        used = sum(one.bytes for one in tars)
        kept = sum(one.bytes for one in tars if one.sha256 in held)
        return min(self._stage.most(used) - kept, free_bytes(self._stage.folder) + used - kept)

    def _lacking(self, used: int, more: int) -> int:
        """Bytes that must be freed, according to the limit and the free space on the disk."""
        return max(used + more - self._stage.most(used), more - free_bytes(self._stage.folder))

    def _size(self, one: Staged) -> int:
        """The size of a staged tar; for one being fetched, its final size."""
        return one.bytes if one.whole else max(one.bytes, self.own.get(one.sha256, 0))

    def _mine(self, tars: list[Staged]) -> int:
        """Bytes of the tars that belong to the set."""
        return sum(self._size(one) for one in tars if one.sha256 in self.own)

    def _evict(self, tars: list[Staged], wanted: Wanted, lacking: int) -> list[Staged]:
        """Remove the least recently used tars outside sets in use, then own ones. Returns those removed."""
        held = self._held()
        others = [one for one in tars if one.sha256 not in held and one.sha256 not in self.own]
        gone = _remove(sorted(others, key=lambda one: one.used), lacking)
        if (rest := lacking - sum(one.bytes for one in gone)) > 0:
            mine = {one.sha256: one for one in tars if one.sha256 in self.own and one.whole and one.sha256 not in held}
            gone += _remove((mine[sha256] for sha256 in wanted.choose(list(mine))), rest)
        return gone

    def _held(self) -> set[str]:
        """Tars of other sets that are in use."""
        found: set[str] = set()
        for folder in self._stage.set_folders():
            if folder.name != self._digest:
                with self._stage.unused(folder) as unused:
                    if not unused:
                        found.update(*map(self._tars_of, folder.glob(f"*/{MANIFEST}")))
        return found

    def _tars_of(self, path: Path) -> frozenset[str]:
        """The tars of the manifest at a path, which never changes."""
        if path not in self._sets:
            try:
                manifest = Manifest.model_validate_json(regular.read(path))
            except (OSError, ValidationError):
                return frozenset()
            self._sets[path] = frozenset(shard.sha256 for split in manifest.splits for shard in split.shards)
        return self._sets[path]


def _remove(tars: Iterable[Staged], lacking: int) -> list[Staged]:
    """Remove these tars one by one until `lacking` bytes are freed. Returns those removed."""
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
