"""`headrace.fit`: the command train on one rank, as a function."""

from collections.abc import Sequence
from pathlib import Path

from headrace.train.record.callback import Callback
from headrace.train.run.request import DEFAULT_RECIPE, Request
from headrace.train.run.training import train


def fit(
    shards: Path | str,
    recipe: str = DEFAULT_RECIPE,
    *,
    out: Path | str,
    resume: Path | str | None = None,
    settings: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> Path:
    """Train on a shard set as `headrace train` does, on this process alone, and return the run folder `out`.

    `recipe` is a shipped one's name or a TOML file, `settings` are changes of it such as "train.epochs=5". `resume` is
    "last" (the last checkpoint in `out`), "auto" (the same if there is one), or a file; its recipe is then used.
    `callbacks` are told of its moments, see `headrace.Callback`; an exception that one raises ends the run.
    Lines go to standard output, unless it is `quiet`, and to the logger "headrace".
    The run sets what holds for the whole process, as the command does: memory, threads, torch's flags. SIGTERM, SIGINT
    and SIGHUP save and stop it, if this is the main thread.

    Raises UsageError, DataError and HeadraceError as the command ends with them.
    """
    resumed = None if resume is None else str(resume)
    name = None if resumed and recipe == DEFAULT_RECIPE else recipe
    train(
        Request(Path(shards), name, tuple(settings), out=Path(out), resume=resumed, show="quiet" if quiet else "lines"),
        callbacks,
    )
    return Path(out)
