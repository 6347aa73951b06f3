"""Numbers the attempts of a run: each process that starts writing a run folder claims the next number in the folder.

    RUN/attempts/000007     made by exclusive create, which is atomic on NFS too; rewritten every 10 s

On a local disk the lock beside the run folder keeps a second writer out. A network disk may have no locks, or locks
that work only within one host; there the newest attempt's file tells whether the process that writes it is alive. A
writer that was taken for dead but comes back (after a freeze of its host, for example) finds a later attempt before it
publishes anything, and exits. Files that such a writer had begun to publish have the number of its attempt in their
names; readers use the files with the newest number.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from headrace.shards import store
from headrace.shards.errors import HeadraceError
from headrace.shards.lock import locked_if_possible, refusal
from headrace.shards.mounts import is_of_one_host

_FOLDER, _DIGITS = "attempts", 6
_BEAT_SECONDS, _SILENT_SECONDS, _POLL_SECONDS = 10.0, 60.0, 1.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class SupersededError(HeadraceError):
    """A later attempt of the same run has taken over the run folder."""


class Attempt:
    """One attempt of a run: it has a number, and can check whether a later attempt exists.

    Number 0 stands for a run without numbered attempts.
    """

    def __init__(self, number: int = 0, run: Path | None = None) -> None:
        self.number = number
        self._run = run
        self._later = None if run is None else run / _FOLDER / _name(number + 1)

    def look(self) -> None:
        """Raise SupersededError if a later attempt was claimed, because this attempt must then publish nothing more."""
        if self._later is not None and self._later.exists():
            raise SupersededError(
                f"{self._run}: attempt {self.number} of this run was taken for dead, and another command has resumed "
                f"the run as attempt {self.number + 1}. This command ends and does not touch files of the new attempt"
            )


@contextmanager
def claimed(run: Path, say: Callable[[str], None] = lambda _: None, after: int = 0) -> Iterator[Attempt]:
    """Within this context, this process is the next attempt of the run and, if locks work, has the folder's lock.

    Makes the folder. Raises LockedError if another command is writing to the folder. Without a working lock, this check
    takes up to 60 s; a line about the wait is passed to `say`. The new attempt's number is higher than `after`, the
    newest attempt's number in the names of checkpoints. `after` is needed because a copied run folder may have
    checkpoints but no folder of attempts.
    """
    with locked_if_possible(run) as alone:
        folder = run / _FOLDER
        store.make_folder(folder)
        newest = max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=0)
        if newest and not (alone and is_of_one_host(folder)):
            _refuse_living(run, folder / _name(newest), alone, say)
        number = max(newest, after) + 1
        attempt, path = Attempt(number, run), folder / _name(number)
        _create(path, run)
        with _beating(path):
            yield attempt


def _refuse_living(run: Path, path: Path, alone: bool, say: Callable[[str], None]) -> None:
    """Raise LockedError if the newest attempt's file, `path`, changes within 60 s: its process is then alive.

    There is no wait if the file shows that the attempt has ended. `alone` tells that this process holds the folder's
    lock. On a network disk, the lock keeps out only processes of the same host.
    """
    last = _read(path)
    with suppress(ValueError, TypeError, KeyError):
        noted = json.loads(last)
        if noted["ended"] is True or (alone and noted["boot"] == _boot() != ""):
            return
    say(f"attempt  {path} may still be running on another host: waiting {_SILENT_SECONDS:.0f} s for a sign of life")
    end = time.monotonic() + _SILENT_SECONDS
    while time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        if _read(path) != last:
            raise refusal(run)


@contextmanager
def _beating(path: Path) -> Iterator[None]:
    """Within this context, rewrite the attempt's file every 10 s, and once more at the end to record the end."""
    over = Event()

    def beat() -> None:
        count = 0
        while not over.wait(_BEAT_SECONDS if count else 0):
            count += 1
            _note(path, count, ended=False)

    thread = Thread(target=beat, name="headrace-attempt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _note(path, -1, ended=True)


def _note(path: Path, count: int, *, ended: bool) -> None:
    """Write the attempt's file in place and close it, so that other hosts see the new contents.

    The file holds the kernel's boot id, which differs between hosts, but no host name.

    Errors are ignored: if the disk is full, the run reports that when it writes its other files.
    """
    values = {"boot": _boot(), "process": os.getpid(), "beat": count, "ended": ended}
    with suppress(OSError):
        path.write_text(json.dumps(values) + "\n", encoding="utf-8")


def _create(path: Path, run: Path) -> None:
    """Make the attempt's file. Raises LockedError if another command made the file first."""
    try:
        path.open("x").close()
    except FileExistsError as error:
        raise refusal(run) from error
    except OSError as error:
        raise store.storage_error(error, path) from error


def _read(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def _boot() -> str:
    """Return the kernel's id of the current boot of this host; "" if the kernel has none."""
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return ""


def _name(number: int) -> str:
    return f"{number:0{_DIGITS}d}"
