"""Lists the runs in a folder, the best first, for `headrace runs`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.shards.errors import UsageError
from headrace.shards.paths import refuse_impossible
from headrace.train.record.about import About, read_recipe
from headrace.train.record.history import HistoryReader, number

_HEADS = ("accuracy", "epoch", "epochs", "images/s", "time", "state", "model", "recipe", "run")
_DEPTH = 3  # largest number of levels from FOLDER down to a run


@dataclass(frozen=True)
class Listed:
    """A run as one line of the list. Unknown values are None or ""."""

    run: str  # its folder
    accuracy: float | None  # percent, the best on the validation split
    epoch: int | None  # the epoch of that accuracy
    epochs_done: int
    epochs: int | None
    images_per_second: float | None  # in training, the last epoch
    seconds: float  # of all epochs that are done
    state: str  # "running" (or killed), "finished", "stopped", "failed"
    model: str
    recipe: str


def find_runs(folder: Path) -> list[Listed]:
    """Return the runs in a folder and its subfolders, the best first, and runs without a finished epoch last.

    Raises UsageError if the folder does not exist.
    """
    refuse_impossible(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder. Give a folder that holds the --out folders of training runs")
    patterns = ["/".join(["*"] * depth + ["metrics.jsonl"]) for depth in range(_DEPTH + 1)]
    paths = sorted({path.parent for pattern in patterns for path in folder.glob(pattern)})
    found = [_listed(path) for path in paths]
    return sorted(found, key=lambda one: (one.accuracy is None, -(one.accuracy or 0.0), one.run))


def as_object(runs: Sequence[Listed]) -> str:
    """Return one JSON object with the list `runs`."""
    return json.dumps({"runs": [asdict(one) for one in runs]}, indent=1)


def as_table(runs: Sequence[Listed]) -> str:
    """Return the runs as a table: the names of the columns, then a line for each run."""
    if not runs:
        return "no runs found"
    rows = [_HEADS, *(_row(one) for one in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _listed(folder: Path) -> Listed:
    about, history, recipe = About.read(folder), HistoryReader(folder).read(), read_recipe(folder)
    epochs = about.epochs or recipe.get("train", {}).get("epochs")
    best, last = history.best, history.epochs[-1] if history.epochs else {}
    return Listed(
        run=str(folder),
        accuracy=number(best, "validation_accuracy") if best else None,
        epoch=best["epoch"] if best else None,
        epochs_done=last.get("epoch", 0),
        epochs=epochs if type(epochs) is int else None,
        images_per_second=number(last, "images_per_second"),
        seconds=sum(number(row, "seconds") or 0.0 for row in history.epochs),
        state=history.state,
        model=about.model or str(recipe.get("model", {}).get("name", "")),
        recipe=about.recipe,
    )


def _row(one: Listed) -> tuple[str, ...]:
    minutes, seconds = divmod(round(one.seconds), 60)
    return (
        "-" if one.accuracy is None else f"{one.accuracy:.2f}%",
        "-" if one.epoch is None else str(one.epoch),
        f"{one.epochs_done}/{one.epochs or '?'}",
        "-" if one.images_per_second is None else f"{one.images_per_second:,.1f}",
        f"{minutes // 60}:{minutes % 60:02}:{seconds:02}",
        one.state or "-",
        one.model or "-",
        one.recipe or "-",
        one.run,
    )
