"""Resumes a run from its mirror: fetches the newest undamaged checkpoint into a local folder."""

from contextlib import suppress
from pathlib import Path

from headrace.shards import store
from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.remote import AbsentError, Remote
from headrace.shards.urls import Url
from headrace.shards.user_cache import private_folder
from headrace.train.checkpoint import files
from headrace.train.checkpoint.files import Newest, Stored
from headrace.train.checkpoint.names import CHECKPOINTS, age, is_name, newest_first
from headrace.train.checkpoint.pointer import BEST, LAST, Pointer

_MOST = 1 << 40  # largest size of a file in bytes
_LOG = "metrics.jsonl"


def fetch_newest(url: Url, out: Path | None) -> Newest:
    """Fetch the newest undamaged checkpoint at a URL; return the checkpoint and a line for each damaged one skipped.

    If the run folder `out` has no checkpoint of another run, the checkpoint is fetched into `out`. The best checkpoint
    and the log are then fetched too, as if the run had begun in `out`. Otherwise the checkpoint is fetched into the
    user's cache folder. Nothing is fetched if `out` is a folder of the same run whose newest checkpoint is at least as
    late as the newest one at the URL. Raises UsageError if there is no checkpoint, DataError if all are damaged,
    NewerError if a newer Headrace wrote the newest undamaged checkpoint, HeadraceError if the server fails.
    """
    if not url.in_bucket:
        raise UsageError(f"{url}: a run can be resumed only from a URL of object storage, such as s3://bucket/run")
    remote = Remote(url)
    pointer = Pointer.read(remote)
    names = _names(remote, pointer)
    if not names:
        raise UsageError(
            f"{url}: no checkpoint to resume from. Give the URL that `runtime.mirror` has in the run's recipe.toml"
        )
    if out is not None and _is_further(out, names):
        return files.newest(out)
    into = out if out is not None and not _has_others(out, names) else _private()
    passed_over: list[str] = []
    for name in names:
        path = into / CHECKPOINTS / name
        try:
            found = _fetch(remote, name, into)
        except AbsentError:
            continue  # removed meanwhile by the run, which is still going on
        except NewerError:
            raise
        except DataError as error:
            passed_over.append(str(error).replace(str(path), f"{url}/{CHECKPOINTS}/{name}"))
            path.unlink(missing_ok=True)
            continue
        if into == out:
            _complete(remote, out, name, pointer)
        return Newest(found, passed_over)
    raise DataError(
        "; ".join(passed_over) or f"{url}: all checkpoints of the mirror were removed while they were read. Try again"
    )


def _names(remote: Remote, pointer: Pointer | None) -> list[str]:
    """Return the names of the mirror's checkpoints, newest first.

    Of checkpoints with the same attempt and step, the one that the file last.json names comes first.
    """
    found = {one.name.rpartition("/")[2] for one in remote.list(CHECKPOINTS)}
    last = pointer.last if pointer else ""
    return sorted(filter(is_name, found), key=lambda name: (age(name), name == last), reverse=True)


def _has_others(out: Path, names: list[str]) -> bool:
    """Return whether a run folder has a checkpoint whose name is not among `names`."""
    return any(path.name not in names for path in newest_first(out))


def _is_further(out: Path, names: list[str]) -> bool:
    """Return whether `out` has one of the checkpoints `names`, and one at least as late as the newest of `names`."""
    own = newest_first(out)
    return bool(own) and age(own[0].name) >= age(names[0]) and any(path.name in names for path in newest_first(out))


def _private() -> Path:
    found = private_folder("resumed")
    if found is None:
        raise UsageError(
            "the checkpoint cannot be fetched, because neither $XDG_CACHE_HOME nor ~/.cache has a folder "
            "headrace/resumed that only this user can write. Add --out DIR to fetch it into the run folder DIR"
        )
    return found


def _fetch(remote: Remote, name: str, into: Path) -> Stored:
    """Return the checkpoint with this name; fetch its file if the file is missing or damaged in the folder `into`."""
    path = into / CHECKPOINTS / name
    try:
        return files.load(path)
    except NewerError:
        raise
    except (DataError, UsageError):  # it is damaged or missing
        store.make_folder(path.parent)
        with store.replacing(path) as stream:
            remote.download(f"{CHECKPOINTS}/{name}", stream)
        return files.load(path)


def _complete(remote: Remote, out: Path, name: str, pointer: Pointer | None) -> None:
    """Add the links, the best checkpoint and the log to the run folder `out`, as if the run had begun in it."""
    if not (out / LAST).is_symlink():
        store.write_link(out / LAST, Path(CHECKPOINTS) / name)
    if pointer is not None and pointer.best and not (out / BEST).is_symlink():
        with suppress(AbsentError, DataError):
            _fetch(remote, pointer.best, out)
            store.write_link(out / BEST, Path(CHECKPOINTS) / pointer.best)
    if not (out / _LOG).exists():
        with suppress(AbsentError):
            store.write_bytes(out / _LOG, remote.read(_LOG, _MOST))
