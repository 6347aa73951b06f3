"""Stages tars of a set from object storage on this host: fetches them ahead of a run or on request, and opens them.

Each process fetches the missing tars that it needs now, unless another process is already fetching them. One process of
each host also fetches tars ahead. So each tar is fetched once per host, and the processes need not exchange messages.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.shards.download import File, Told, fetch
from headrace.shards.errors import DataError
from headrace.shards.fetch_ahead import FetchAhead
from headrace.shards.manifest import SplitInfo
from headrace.shards.next_use import NEVER, NextUse
from headrace.shards.remote import Remote
from headrace.shards.stage import Stage
from headrace.shards.stage_lock import opened_shared
from headrace.shards.stage_room import ANY, Room, Wanted
from headrace.shards.store import PARTIAL
from headrace.shards.tars import OpenTar, Tars

THREADS = 6
"""The number of parallel downloads: a single connection rarely uses the whole bandwidth of a network."""
_RING = 3  # windows that a run may always have: the previous, the current and the next
_KEPT_SHARE = 0.5  # share of the limit that tars to be kept may take, such as tars that every epoch reads
_LAST_SECONDS = 5.0  # time to wait for the threads of a split that was not closed; they may be inside obstore

Look = Callable[[int, int], None]
"""Takes the index and the descriptor of a tar; raises DataError if an image in the tar must not be decoded."""


class Depot:
    """The objects that all splits of a set at a URL share: the remote files, the stage, and the room in the stage."""

    def __init__(self, remote: Remote, stage: Stage, digest: str, splits: Iterable[SplitInfo]) -> None:
        self.remote, self.stage = remote, stage
        self.room = Room(stage, digest, {shard.sha256: shard.bytes for split in splits for shard in split.shards})
        self.kept: set[str] = set()  # tars to keep, by SHA-256, because they are read repeatedly
        self.planned: dict[str, Staging] = {}  # by split, the stagings that know which windows will be read


class Staging:
    """Stages the tars of one split. Threads may share this object."""

    def __init__(self, depot: Depot, split: SplitInfo) -> None:
        self.depot, self.name, self.shards = depot, split.name, split.shards
        self._numbers = {shard.sha256: number for number, shard in enumerate(split.shards)}
        self._ahead: FetchAhead | None = None
        self._least = _RING * max((shard.bytes for shard in split.shards), default=0)

    def plan(self, windows: Iterator[Sequence[int]], longest: int, together: int, *, fetches: bool) -> None:
        """Like `StagedTars.plan`."""
        self.close()
        self._least = _RING * longest * together
        self._ahead = FetchAhead(NextUse(windows, together), self.have, THREADS if fetches else 0)
        self.depot.planned[self.name] = self
        self._ahead.start()  # its threads read what is set above

    def keep(self) -> None:
        """Never evict tars of this split for other tars if the split takes at most half of the stage's limit."""
        used = sum(one.bytes for one in self.depot.stage.tars())
        if sum(shard.bytes for shard in self.shards) <= _KEPT_SHARE * self.depot.stage.most(used):
            self.depot.kept.update(self._numbers)

    def go_on(self, numbers: list[int]) -> None:
        """Record that these tars are needed now. Raises the error that ended fetching ahead, if there was one."""
        if self._ahead is not None:
            self._ahead.go_on(numbers)

    def bring(self, number: int) -> None:
        """Fetch a tar that is needed now."""
        ahead = self._ahead
        self.have(number, ahead.current if ahead else 0, _nobody)
        self.check()

    def check(self) -> None:
        """Raise the error that ended fetching ahead, if there was one."""
        if self._ahead is not None:
            self._ahead.check()

    def have(self, number: int, window: int, told: Told) -> bool:
        """Fetch a tar for a window if missing; return False if there is no room and the tar is not needed now.

        `told` is called whenever bytes arrive; an error that it raises ends the download.
        """
        shard, depot, ahead = self.shards[number], self.depot, self._ahead
        path = depot.stage.tar(shard.sha256)
        if path.exists():
            return True
        now = ahead is None or window <= ahead.current
        least = ANY if now else self._least
        wanted = Wanted(shard.sha256, shard.bytes, least, lambda staged: self._may_go(staged, window))
        if not depot.room.take(wanted):
            return False
        fetch(depot.remote, File(shard.name, shard.bytes, shard.sha256), path, told)
        return True

    def staged_bytes(self, numbers: Iterable[int]) -> int:
        """The bytes of these tars that are on this host; unfinished downloads count with the bytes that they have."""
        tars = (self.depot.stage.tar(self.shards[number].sha256) for number in numbers)
        return sum(_size(tar) or _size(tar.with_suffix(PARTIAL)) for tar in tars)

    def close(self, patience: float | None = None) -> None:
        """Stop fetching ahead, and wait at most `patience` seconds for each fetching thread to end."""
        if self._ahead is not None:
            self._ahead.close(patience)
        self._ahead = None
        if self.depot.planned.get(self.name) is self:
            del self.depot.planned[self.name]

    def spare(self, staged: list[str], beyond: int) -> list[str]:
        """The staged tars of this split that no window up to `beyond` uses; the latest next use comes first."""
        mine = [self._numbers[one] for one in staged if one in self._numbers]
        chosen = self._ahead.farthest_first(mine, beyond) if self._ahead else mine
        return [self.shards[number].sha256 for number in chosen]

    def _may_go(self, staged: list[str], window: int) -> list[str]:
        """The staged tars of the set that may be evicted for a tar of `window`, in the order of eviction.

        First come tars of this split that are never used again, then tars of splits for which `plan` was not called.
        Then come tars that other splits do not use soon, and last tars of this split whose next use is after `window`.
        Tars of splits for which `keep` was called are not evicted.
        """
        free = [one for one in staged if one not in self.depot.kept]
        never = self.spare(free, NEVER - 1) if self._ahead else []
        others = [one for one in list(self.depot.planned.values()) if one is not self]  # another thread may add one
        planned = [tar for one in others for tar in one.spare(free, one.soon)]
        known = {tar for one in (self, *others) for tar in one.tars}
        chosen = [*never, *(tar for tar in free if tar not in known), *planned, *self.spare(free, window)]
        return list(dict.fromkeys(chosen))

    @property
    def tars(self) -> Collection[str]:
        """The SHA-256 of each tar of this split."""
        return self._numbers

    @property
    def soon(self) -> int:
        """The number of the last window whose tars may be fetched now."""
        return self._ahead.last if self._ahead else 0


class StagedTars(Tars):
    """The open tars of one split of a set at a URL, which are fetched when they are needed, or ahead."""

    def __init__(self, depot: Depot, split: SplitInfo, look: Look) -> None:
        super().__init__(len(split.shards))
        self._look, self._waiting = look, _Waiting()
        self._asked: Sequence[int] = range(len(split.shards))  # the tars that `fetch_all` was called for
        self.staging = Staging(depot, split)
        weakref.finalize(self, self.staging.close, _LAST_SECONDS)

    @property
    def waited(self) -> float:
        """The seconds in which at least one thread of this process waited for tars."""
        return self._waiting.seconds

    def plan(self, windows: Iterator[Sequence[int]], longest: int, together: int = 1, *, fetches: bool = True) -> None:
        """Announce the `windows` of tars that will be read, in order; `together` of them may be in use at a time.

        `longest` is the size of the largest window in bytes. The tars are fetched ahead only if `fetches` is true.
        """
        self.staging.plan(windows, longest, together, fetches=fetches)

    def fetch_all(self, numbers: Sequence[int] | None = None) -> None:
        """Begin to fetch all missing tars, or the missing ones among `numbers`.

        From then on, `bytes`, `missing` and `staged_bytes` count these tars only.
        """
        self._asked = range(len(self.staging.shards)) if numbers is None else numbers
        self.plan(iter([self._asked]), self.bytes)

    def keep_staged(self) -> None:
        """Never evict tars of this split for other tars if the split takes at most half of the stage's limit."""
        self.staging.keep()

    def check(self) -> None:
        """Raise the error that ended fetching ahead, if there was one."""
        self.staging.check()

    @property
    def bytes(self) -> int:
        """The total size in bytes of the tars that `fetch_all` fetches, or of all tars before `fetch_all` is called."""
        return sum(self.staging.shards[number].bytes for number in self._asked)

    @property
    def missing(self) -> int:
        """The number of the tars counted by `bytes` that are not staged."""
        stage, shards = self.staging.depot.stage, self.staging.shards
        return sum(not stage.tar(shards[number].sha256).exists() for number in self._asked)

    @property
    def staged_bytes(self) -> int:
        """The staged bytes of the tars counted by `bytes`; an unfinished download counts with the bytes it has."""
        return self.staging.staged_bytes(self._asked)

    def want(self, shards: NDArray[np.int64]) -> None:
        """Open the tars of these shards; wait for those that must be fetched first."""
        numbers = np.unique(shards).tolist()
        self.staging.go_on(numbers)
        with self._lock:
            missing = [] if self._all is not None else [number for number in numbers if number not in self._open]
        if missing:
            with self._waiting.counted():
                tars = [(number, self._open_one(number)) for number in missing]
            with self._lock:
                for number, tar in [*((one, self._open.pop(one)) for one in numbers if one in self._open), *tars]:
                    self._open[number] = tar
                while len(self._open) > max(self._most, len(numbers)):
                    self._open.popitem(last=False)

    def close(self) -> None:
        """Close all tars, and stop fetching ahead."""
        self.staging.close()
        super().close()

    def _open_one(self, number: int) -> OpenTar:
        shard, stage = self.staging.shards[number], self.staging.depot.stage
        path = stage.tar(shard.sha256)
        while (descriptor := opened_shared(path)) is None:
            self.staging.bring(number)
        tar = OpenTar(descriptor)
        seen = os.fstat(descriptor).st_size
        if seen != shard.bytes:
            raise DataError(
                f"{path}: {seen:,} bytes, but the manifest of {self.staging.depot.remote.url} says {shard.bytes:,}. "
                "Remove damaged copies with `headrace cache verify`, and start again"
            )
        self._look(number, descriptor)
        return tar


class _Waiting:
    """Counts the seconds in which at least one thread waits."""

    def __init__(self) -> None:
        self._lock, self._threads, self._since, self._before = threading.Lock(), 0, 0.0, 0.0

    @property
    def seconds(self) -> float:
        """The seconds in which at least one thread has waited so far."""
        with self._lock:
            return self._before + (time.perf_counter() - self._since if self._threads else 0.0)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the time of the block as waiting."""
        with self._lock:
            if not self._threads:
                self._since = time.perf_counter()
            self._threads += 1
        try:
            yield
        finally:
            with self._lock:
                self._threads -= 1
                if not self._threads:
                    self._before += time.perf_counter() - self._since


def _nobody(_: int) -> None:
    """Ignore the number of bytes."""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
