"""`headrace runs`: the runs in a folder, the best first."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.shards.errors import UsageError
from headrace.shards.paths import refuse_impossible
from headrace.train.record.about import About, read_recipe
from headrace.train.record.history import HistoryReader, number

_HEADS = ("accuracy", "epoch", "epochs", "images/s", "time", "state", "model", "recipe", "run")
_DEPTH = 3  # folders between FOLDER and a run, at the most


@dataclass(frozen=True)
class Listed:
    """A run in a line. What is not known is None or ""."""

    run: str  # its folder
    accuracy: float | None  # percent, the best of the validation split
    epoch: int | None  # which had it
    epochs_done: int
    epochs: int | None
    images_per_second: float | None  # in training, the last epoch
    seconds: float  # of all epochs that are done
    state: str  # "running" (or killed), "finished", "stopped", "failed"
    model: str
    recipe: str


def find_runs(folder: Path) -> list[Listed]:
    """The runs in a folder, or in folders inside it; the best first, those without an epoch last.

    Raises UsageError if the folder is not there.
    """
    refuse_impossible(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder. Give one that holds the --out folders of trainings")
    patterns = ["/".join(["*"] * depth + ["metrics.jsonl"]) for depth in range(_DEPTH + 1)]
    paths = sorted({path.parent for pattern in patterns for path in folder.glob(pattern)})
    found = [_listed(path) for path in paths]
    return sorted(found, key=lambda one: (one.accuracy is None, -(one.accuracy or 0.0), one.run))


def as_object(runs: Sequence[Listed]) -> str:
    """One JSON object with the list `runs`."""
    return json.dumps({"runs": [asdict(one) for one in runs]}, indent=1)


def as_table(runs: Sequence[Listed]) -> str:
    """A line for each run, below the names of the columns."""
    if not runs:
        return "no runs there"
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
