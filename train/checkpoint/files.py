"""Checkpoints: one file each, whole or absent, with the hash of its bytes in its name.

    RUN/checkpoints/step-00000782-<16 hex of sha256>.pt     the states; the newest few and the best are kept
    RUN/last.pt, RUN/best.pt                                links to two of them

A file holds plain values and dense tensors only: `torch.load(..., weights_only=True)` reads it, and what is something
else in it is refused before anything looks at it. It holds no state of any random generator and none of the pipeline:
both are functions of the step.
"""

import hashlib
import io
import re
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import torch

from headrace.shards import store
from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.open_files import refuse_limit
from headrace.shards.paths import refuse_impossible
from headrace.train.checkpoint.formats import checked
from headrace.train.model.safe_load import first_line, safe_load

_BEST = "best.pt"
_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{16})\.pt")


class Written(NamedTuple):
    """The file that a checkpoint was written to, the SHA-256 of its bytes in hex, and their number."""

    path: Path
    sha256: str
    bytes: int


def save(run: Path, state: dict[str, Any], step: int, *, best: bool, keep: int) -> Written:
    """Write a checkpoint and point `last.pt`, and `best.pt` where it is the best, at it.

    All but the newest `keep` and the best are then removed. Raises HeadraceError when it cannot be written; what was
    there before then stays.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    path = run / "checkpoints" / f"step-{step:08d}-{digest[:16]}.pt"
    try:
        path.parent.mkdir(exist_ok=True)
        store.write_bytes(path, data)
        for link in ("last.pt", _BEST) if best else ("last.pt",):
            store.write_link(run / link, Path("checkpoints") / path.name)
        store.sync_folder(path.parent)  # the new one is on the disk before an old one goes
        _remove_old(run, keep)
    except OSError as error:
        raise store.storage_error(error, path) from error
    return Written(path, digest, len(data))


def _remove_old(run: Path, keep: int) -> None:
    kept = {path.resolve() for path in (*_newest_first(run)[:keep], run / "last.pt", run / _BEST)}
    for path in _newest_first(run):
        if path.resolve() not in kept:
            path.unlink()


def exists(run: Path) -> bool:
    """Whether the run folder holds any checkpoint, damaged or not."""
    return bool(_newest_first(run))


def later(run: Path, step: int) -> list[Path]:
    """Checkpoints in the run folder of steps after `step`, the newest first."""
    return [path for path in _newest_first(run) if int(path.name.split("-")[1]) > step]


def remove_unfinished(run: Path) -> None:
    """Remove what a process that was killed while it wrote has left."""
    for folder in (run, run / "checkpoints"):
        for path in folder.glob(f"*{store.PARTIAL}"):
            path.unlink(missing_ok=True)


def _newest_first(run: Path) -> list[Path]:
    found = [path for path in (run / "checkpoints").glob("step-*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (int(path.name.split("-")[1]), path.stat().st_mtime_ns), reverse=True)


class Stored(NamedTuple):
    """What a checkpoint file holds, which file that is, and the SHA-256 of its bytes in hex."""

    state: dict[str, Any]
    path: Path
    sha256: str


class Newest(NamedTuple):
    """The newest undamaged checkpoint of a run folder, and a line for each damaged one that was passed over."""

    stored: Stored
    passed_over: list[str]


def load(path: Path, sha256: str | None = None) -> Stored:
    """Read a checkpoint file once, of a run folder its best.pt; `sha256` is that of its bytes if it was read before.

    Raises UsageError when there is none, DataError when it is damaged or is not the one that was read before,
    NewerError when a newer Headrace wrote it.
    """
    refuse_impossible(path)
    path = path / _BEST if path.is_dir() else path
    try:
        data = path.read_bytes()
    except OSError as error:
        refuse_limit(error)
        raise UsageError(
            f"{path}: no checkpoint that can be read ({error.strerror}). "
            "Give a run folder, for its best.pt, or a file that a run wrote: RUN/best.pt, RUN/last.pt, or one of "
            "RUN/checkpoints"
        ) from error
    named = _NAME.fullmatch(path.resolve().name)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256:
        raise DataError(
            f"{path}: changed while the run was starting: its sha256 begins {digest[:16]}, before {sha256[:16]}. "
            "Start again"
        )
    if named and not digest.startswith(named[2]):
        raise DataError(
            f"{path}: damaged: its sha256 begins {digest[:16]}, its name says {named[2]}. Use an earlier checkpoint"
        )
    try:
        if named is None and sha256 is None:  # renamed, so the hash is lost; the members' own CRC-32 are left
            _check_members(data)
        state = safe_load(data)
    except Exception as error:  # zipfile raises many kinds for a damaged file
        raise DataError(f"{path}: not a checkpoint that can be read ({first_line(error)}). Use another") from error
    return Stored(checked(path, state), path, digest)


def _check_members(data: bytes) -> None:
    with ZipFile(io.BytesIO(data)) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"its member {damaged} is damaged")


def newest(run: Path) -> Newest:
    """The newest undamaged checkpoint in a run folder.

    Raises UsageError when there is no checkpoint, DataError when all are damaged, NewerError when the newest undamaged
    one is of a newer Headrace: the run is further than those before it.
    """
    candidates = _newest_first(run)
    if not candidates:
        raise UsageError(f"{run}: no checkpoint to resume from. Start without --resume, or name the right folder")
    passed_over: list[str] = []
    for path in candidates:
        try:
            return Newest(load(path), passed_over)
        except NewerError:
            raise
        except DataError as error:
            passed_over.append(str(error))
    raise DataError("; ".join(passed_over))
