"""Copies a run folder to a URL during training: first the checkpoints, and last a file that names them.

    MIRROR/checkpoints/step-00000782-000003-<16 hex of sha256>.pt    the last one and the best one
    MIRROR/metrics.jsonl, recipe.toml ...                     the files of the run folder, as they are at a save
    MIRROR/last.json                                          names the two checkpoints; written last

A thread uploads the files. Failed uploads are tried again and never end the run, because the run folder itself has all
files.
"""

import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.remote import AbsentError, Remote
from headrace.shards.store import PARTIAL
from headrace.shards.urls import Url, is_url
from headrace.train.checkpoint.names import CHECKPOINTS, age, is_name, newest_first
from headrace.train.checkpoint.pointer import BEST, POINTER, Pointer
from headrace.train.record.callback import Callback
from headrace.train.record.moments import End, Saved, Start

_PAUSES = (1.0, 60.0)  # seconds between attempts: the first, and the longest
_PATIENCE_SECONDS = {"finished": 120.0, "stopped": 20.0, "failed": 20.0}
"""For each way in which a run can end: the seconds that the ended run waits for its next file to be uploaded.

After a signal the wait is short, because the process may be killed soon.
"""

State = tuple[int, int]  # bytes and time of a file


def mirror_url(mirror: str) -> Url:
    """Return the URL that runtime.mirror gives. Raises UsageError if the value is not a URL of object storage."""
    url = Url(mirror) if is_url(mirror) else None
    if url is None or not url.in_bucket:
        raise UsageError(f"runtime.mirror = {mirror[:200]!r}: expected a URL that begins with s3://, gs:// or az://")
    return url


def refuse_later(remote: Remote, step: int) -> None:
    """Raise UsageError if the last checkpoint of a mirror is later than `step`, at which the run begins."""
    pointer = Pointer.read(remote)
    if pointer is not None and age(pointer.last)[1] > step:
        raise UsageError(
            f"{remote.url}: the mirror's checkpoint {pointer.last} is later than step {step:,}, at which this run "
            f"begins. Resume from the mirror with --resume {remote.url}, or give another runtime.mirror"
        )


class Mirror(Callback):
    """Copies a run folder to a URL, the mirror, during training.

    `warn` reports problems; `say` reports at the end of the run which files could not be uploaded. `resumed` says
    whether the run was resumed from this mirror. The mirror of a resumed run may hold a damaged checkpoint of a later
    step, which the resume skipped.
    """

    def __init__(
        self,
        folder: Path,
        remote: Remote,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        *,
        resumed: bool = False,
    ) -> None:
        self._folder, self._remote, self._say, self._warn = folder, remote, say, warn
        self._wake = threading.Condition()
        self._due = self._ended = False
        self._step, self._moved = 0, 0.0
        self._checked = resumed
        self._there: dict[str, State] = {}
        self._pointer: Pointer | None = None
        self._thread = threading.Thread(target=self._work, name="headrace-mirror", daemon=True)

    def on_start(self, start: Start) -> None:
        """Start the uploading thread, which first uploads the files that a resumed run already has."""
        self._step = start.step
        self._thread.start()
        self._ask()

    def on_saved(self, _: Saved) -> None:
        """Queue the saved checkpoint for uploading; it is skipped if a later save replaces it before its upload."""
        self._ask()

    def on_end(self, end: End) -> None:
        """Wait a limited time for pending uploads, and report the files that were not uploaded."""
        if not self._thread.ident:
            return
        with self._wake:
            self._ended = True
            self._due = True
            self._wake.notify()
        self._moved = time.monotonic()
        while self._thread.is_alive() and time.monotonic() < self._moved + _PATIENCE_SECONDS[end.reason]:
            self._thread.join(0.1)
        missing = [name for name, _, _ in self._wanted()]
        if self._pointer != self._newest():
            missing.append(POINTER)
        if missing:
            self._say(
                f"mirror   {self._remote.url}: not uploaded: {', '.join(missing)}; these files are in {self._folder}"
            )

    def _ask(self) -> None:
        with self._wake:
            self._due = True
            self._wake.notify()

    def _work(self) -> None:
        pause = 0.0
        while True:
            with self._wake:
                if pause:
                    self._wake.wait_for(lambda: self._ended, pause)
                    time.sleep(min(pause, _PAUSES[0]) if self._ended else 0)
                else:
                    self._wake.wait_for(lambda: self._due)
                self._due, last = False, self._ended
            try:
                self._upload()
            except UsageError as error:
                self._warn(f"mirror: {error}. The run continues without the mirror")
                return
            except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
                if not pause:
                    why = str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
                    self._warn(f"mirror: {why}. The upload will be tried again during the run")
                pause = min(max(2 * pause, _PAUSES[0]), _PAUSES[1])
                continue
            pause = 0.0
            if last:
                return

    def _upload(self) -> None:
        """Upload the changed files, checkpoints first; then write last.json; then remove old checkpoints at the URL."""
        if not self._checked:
            refuse_later(self._remote, self._step)
            self._checked = True
        newest = self._newest()
        for name, path, state in self._wanted():
            try:
                self._remote.put(name, path)
            except AbsentError:
                if path.exists():
                    raise
                continue  # replaced meanwhile: the newer one comes next
            self._there[name], self._moved = state, time.monotonic()
        if newest is None:
            return  # the first save asks again
        if newest != self._newest():
            self._ask()  # there was a save meanwhile
            return
        if newest != self._pointer:
            self._remote.put(POINTER, newest.render())
            self._pointer = newest
            self._remove_old(newest)

    def _remove_old(self, newest: Pointer) -> None:
        names = (one.name.rpartition("/")[2] for one in self._remote.list(CHECKPOINTS))
        kept = {newest.last, newest.best}
        old = [name for name in names if is_name(name) and name not in kept and age(name) <= age(newest.last)]
        if old:
            self._remote.remove(*(f"{CHECKPOINTS}/{name}" for name in old))

    def _newest(self) -> Pointer | None:
        """Return the names of the last checkpoint (found by file names) and of the best one (the target of best.pt)."""
        last, best = next(iter(newest_first(self._folder)), None), self._folder / BEST
        name = best.readlink().name if best.is_symlink() else ""
        return Pointer(last.name, name if is_name(name) else None) if last else None

    def _wanted(self) -> Iterator[tuple[str, Path, State]]:
        """Yield name, path and state of each file that has changed since its upload or is not uploaded.

        The checkpoints come first. A state is the size and the modification time of a file.
        """
        newest = self._newest()
        names = dict.fromkeys(name for name in newest or () if name)
        paths = [(f"{CHECKPOINTS}/{name}", self._folder / CHECKPOINTS / name) for name in names]
        paths += [(path.name, path) for path in sorted(self._folder.iterdir()) if _is_kept(path)]
        for name, path in paths:
            state = _state(path)
            if state is not None and self._there.get(name) != state:
                yield name, path, state


def _is_kept(path: Path) -> bool:
    return not path.name.startswith(".") and not path.name.endswith(PARTIAL)


def _state(path: Path) -> State | None:
    """Return the size in bytes and the modification time in nanoseconds of a regular file; None for anything else."""
    try:
        seen: Any = path.lstat()
    except OSError:
        return None
    return (seen.st_size, seen.st_mtime_ns) if stat.S_ISREG(seen.st_mode) else None
