"""Offers `headrace train` as the function `headrace.fit`, which runs on one rank."""

from collections.abc import Sequence
from pathlib import Path

from headrace.shards.urls import Location, location
from headrace.train.record.callback import Callback
from headrace.train.run.request import DEFAULT_RECIPE, Request
from headrace.train.run.training import train


def fit(
    shards: Location | str,
    recipe: str = DEFAULT_RECIPE,
    *,
    out: Path | str,
    resume: Path | str | None = None,
    settings: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> Path:
    """Train on a shard set in a folder or at a URL, as `headrace train` does; return `out`.

    Training runs in this process. If the process is in a process group, training runs in all processes of the group,
    and each of them must call this function.

    `recipe` is the name of a shipped recipe or a TOML file; `settings` are changes to the recipe, such as
    "train.epochs=5". `resume` is "last" (the last checkpoint in `out`), "auto" (the same, or a new run if `out` has no
    checkpoint), or a checkpoint file. A resumed run uses the checkpoint's recipe unless `recipe` is given. `callbacks`
    are called at moments of the run, see `headrace.Callback`; an exception in a callback ends the run. The lines of the
    run go to the logger "headrace" and, unless `quiet`, to standard output. Like the command, the run changes settings
    of the whole process: memory, threads, torch's flags. If this is the main thread, SIGTERM, SIGINT and SIGHUP make
    the run save a checkpoint and stop.

    Raises UsageError, DataError and HeadraceError in the same cases as the command.
    """
    resumed = None if resume is None else str(resume)
    name = None if resumed and recipe == DEFAULT_RECIPE else recipe
    train(
        Request(
            location(shards), name, tuple(settings), out=Path(out), resume=resumed, show="quiet" if quiet else "lines"
        ),
        callbacks,
    )
    return Path(out)
