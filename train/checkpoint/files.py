"""Writes, reads and removes checkpoint files: each is complete or absent, with the hash of its bytes in its name.

    RUN/checkpoints/step-00000782-000003-<16 hex of sha256>.pt   the states; the newest few and the best are kept
    RUN/last.pt, RUN/best.pt                                     links to two of them, for people

The first number in a name is the step, and the second is the number of the attempt (one start of the run) that wrote
the file. In a name without a second number, the attempt is 0. The newest checkpoint has the highest attempt number and,
within that attempt, the highest step. Each checkpoint records which checkpoint is the best so far. To find the best
checkpoint of a run folder, commands read this record in the newest checkpoint.

A file holds only plain values and dense tensors. `torch.load(..., weights_only=True)` reads the file, and values of
other kinds are refused before any value is used. No state of random generators or of the pipeline is saved, because the
step determines all draws and batches.
"""

import hashlib
import io
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import torch

from headrace.shards import store
from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.open_files import refuse_limit
from headrace.shards.paths import refuse_impossible
from headrace.train.checkpoint.formats import checked
from headrace.train.checkpoint.names import CHECKPOINTS, THIS, age, hash_in, is_name, name_of, newest_first
from headrace.train.checkpoint.pointer import BEST, LAST
from headrace.train.model.safe_load import first_line, safe_load
from headrace.train.record.attempts import Attempt

_FIRST = Attempt()


class Written(NamedTuple):
    """A written checkpoint: the path of its file, the file's SHA-256 in hex, and the file's size in bytes."""

    path: Path
    sha256: str
    bytes: int


def save(
    run: Path, state: dict[str, Any], step: int, *, best: bool, keep: int, attempt: Attempt = _FIRST, before: str = ""
) -> Written:
    """Write a checkpoint, and point the links `last.pt` and `best.pt` at the last and the best checkpoint.

    The new checkpoint is the last; if `best`, it is also the best. Otherwise `before` is the name of the best
    checkpoint. Then remove older checkpoints of the run; the best one and the `keep` newest ones stay.
    Raises HeadraceError if the file cannot be written; earlier checkpoints are then kept. Raises SupersededError,
    before the new file appears, if a later attempt (start) of the run has begun.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getbuffer()
    digest = hashlib.sha256(data).hexdigest()
    path = run / CHECKPOINTS / name_of(step, attempt.number, digest)
    try:
        path.parent.mkdir(exist_ok=True)
        store.write_bytes(path, data, attempt.look)
        link(run, path.name, path.name if best else before, attempt)
        store.sync_folder(path.parent)  # the new one is on the disk before an old one is removed
        _remove_old(run, keep, attempt, {path.name, path.name if best else before})
    except OSError as error:
        raise store.storage_error(error, path) from error
    return Written(path, digest, len(data))


def link(run: Path, last: str, best: str, attempt: Attempt) -> None:
    """Point the links `last.pt` and `best.pt` at the checkpoints of these names; "" leaves a link unchanged."""
    for name, target in ((LAST, last), (BEST, best)):
        if target:
            attempt.look()
            store.write_link(run / name, Path(CHECKPOINTS) / target)


def _remove_old(run: Path, keep: int, attempt: Attempt, named: set[str]) -> None:
    own = [path for path in newest_first(run) if age(path.name)[0] <= attempt.number]
    if not attempt.number:  # the files do not say which one is the best
        named = named | {path.resolve().name for path in (run / LAST, run / BEST)}
    kept = {path.name for path in own[:keep]} | named
    for path in own:
        if path.name not in kept:
            attempt.look()
            path.unlink(missing_ok=True)


def remove_unfinished(run: Path) -> None:
    """Remove the partial files of a process that was killed while writing."""
    for folder in (run, run / CHECKPOINTS):
        for path in folder.glob(f"*{store.PARTIAL}"):
            path.unlink(missing_ok=True)


class Stored(NamedTuple):
    """The contents of a checkpoint file, the path of the file, and the SHA-256 of its bytes in hex."""

    state: dict[str, Any]
    path: Path
    sha256: str


class Newest(NamedTuple):
    """The newest undamaged checkpoint of a run folder, and a line for each damaged checkpoint that was skipped."""

    stored: Stored
    passed_over: list[str]


def load(path: Path, sha256: str | None = None) -> Stored:
    """Read a checkpoint file, or the best checkpoint of a run folder.

    `sha256` is the expected hash of the file, from an earlier read; None if the file was not read before. Raises
    UsageError if there is no checkpoint, DataError if the file is damaged or has another hash, NewerError if a newer
    Headrace wrote it.
    """
    refuse_impossible(path)
    if path.is_dir():
        best = _best_of(path)
        if isinstance(best, Stored) and sha256 in (None, best.sha256):
            return best
        path = best.path if isinstance(best, Stored) else best
    try:
        data = path.read_bytes()
    except OSError as error:
        refuse_limit(error)
        raise UsageError(
            f"{path}: no readable checkpoint ({error.strerror}). Give a checkpoint file of a run (RUN/best.pt, "
            "RUN/last.pt or a file in RUN/checkpoints), or give the run folder RUN, which means its best checkpoint"
        ) from error
    named = hash_in(path.resolve().name)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256:
        raise DataError(
            f"{path}: the file changed while the run was starting: its SHA-256 began with {sha256[:16]} and now begins "
            f"with {digest[:16]}. Start the run again"
        )
    if named and not digest.startswith(named):
        raise DataError(
            f"{path}: the file is damaged: its SHA-256 begins with {digest[:16]}, but its name says {named}. "
            "Use an earlier checkpoint"
        )
    try:
        if not named and sha256 is None:  # renamed, so the hash is lost; the CRC-32 of the members remain
            _check_members(data)
        state = safe_load(data)
    except Exception as error:  # zipfile raises many kinds of errors for a damaged file
        raise DataError(f"{path}: not a readable checkpoint ({first_line(error)}). Use another checkpoint") from error
    return Stored(checked(path, state), path, digest)


def _best_of(run: Path) -> Stored | Path:
    """Return the path of the best checkpoint, which the newest undamaged checkpoint of the run names.

    If the newest checkpoint is itself the best, its contents are returned, because they have been read already. If the
    newest checkpoint names no best one, or if all checkpoints are damaged, the path of best.pt is returned.
    """
    for path in newest_first(run):
        try:
            newest = load(path)
        except NewerError:
            raise
        except DataError:
            continue
        except UsageError:
            if path.exists():
                raise
            continue  # removed meanwhile by the run, which is still going on
        said = newest.state.get("best")
        if said == THIS:
            return newest
        return run / CHECKPOINTS / said if said else run / BEST
    return run / BEST


def best_before(run: Path, resumed: Path, said: str | None) -> str:
    """Return the name of the run's best checkpoint before a resume; "" if `run` does not contain that checkpoint.

    `said` is the field `best` of the resumed checkpoint. If `said` is None, as in checkpoints of older versions, the
    name is that of the file to which the link best.pt points.
    """
    link = run / BEST
    name = resumed.resolve().name if said == THIS else said
    if name is None:
        name = link.resolve().name if link.exists() else ""
    return name if is_name(name) and (run / CHECKPOINTS / name).exists() else ""


def _check_members(data: bytes) -> None:
    with ZipFile(io.BytesIO(data)) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the zip member {damaged} is damaged")


def newest(run: Path) -> Newest:
    """Read the newest undamaged checkpoint in a run folder.

    Raises UsageError if there is no checkpoint, DataError if all are damaged. Raises NewerError if a newer Headrace
    wrote the newest undamaged checkpoint, because resuming from an older checkpoint would lose progress.
    """
    candidates = newest_first(run)
    if not candidates:
        raise UsageError(f"{run}: no checkpoint to resume from. Start without --resume, or give the folder of a run")
    passed_over: list[str] = []
    for path in candidates:
        try:
            return Newest(load(path), passed_over)
        except NewerError:
            raise
        except DataError as error:
            passed_over.append(str(error))
        except UsageError:
            if path.exists():
                raise  # otherwise it was removed meanwhile by the run, which is still going on
    raise DataError("; ".join(passed_over) or f"{run}: all checkpoints were removed while they were read. Try again")
