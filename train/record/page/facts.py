"""What a run folder tells a page. Every file may be missing or damaged: then the page shows what is left."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.shards import regular
from headrace.shards.errors import HeadraceError, UsageError
from headrace.train.record import predictions as kept
from headrace.train.record.about import About, read_recipe
from headrace.train.record.history import History, HistoryReader
from headrace.train.record.page import pictures
from headrace.train.record.page.pictures import Captioned
from headrace.train.record.predictions import Predictions

_SIGNS = ("metrics.jsonl", "recipe.toml", "run.json")


@dataclass(frozen=True)
class Facts:
    """A run, as its folder has it."""

    folder: Path
    about: About
    history: History
    recipe: dict[str, dict[str, Any]]  # by section and key
    environment: dict[str, Any]
    predictions: Predictions | None
    training: list[Captioned]
    training_step: int
    mistakes: list[Captioned]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.absolute().name

    @property
    def epochs(self) -> int:
        """Epochs of the whole run; 0 where nothing says it."""
        return self.about.epochs or _whole(self.recipe.get("train", {}).get("epochs"))


class FactsReader:
    """Reads a run folder, again and again while the run goes on; what has not changed is not read anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._history = HistoryReader(folder)
        self._stamp: tuple[int, int] | None = None
        self._predictions: Predictions | None = None

    def read(self) -> Facts:
        """The run as it is now. Raises UsageError if this is no run folder."""
        folder = self._folder
        if not any((folder / name).exists() for name in _SIGNS):
            raise UsageError(
                f"{folder}: not a run folder: none of {', '.join(_SIGNS)} is there. Give the --out of a training"
            )
        seen, training = pictures.read(folder, pictures.TRAINING)
        predictions = self._read_predictions()
        of, mistakes = pictures.read(folder, pictures.MISTAKES)
        if predictions is None or of.get("checkpoint") != predictions.origin.checkpoint:
            mistakes = []  # those of an earlier evaluation
        return Facts(
            folder,
            About.read(folder),
            self._history.read(),
            read_recipe(folder),
            _read_environment(folder / "environment.json"),
            predictions,
            training,
            _whole(seen.get("step")),
            mistakes,
        )

    def _read_predictions(self) -> Predictions | None:
        path = self._folder / kept.NAME
        try:
            about = path.stat()
            if (stamp := (about.st_mtime_ns, about.st_ino)) != self._stamp:
                self._stamp, self._predictions = stamp, Predictions.read(path)
        except (HeadraceError, OSError):
            self._stamp, self._predictions = None, None
        return self._predictions if self._predictions and len(self._predictions.ids) else None


def _read_environment(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(regular.read(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole(value: Any) -> int:
    return value if type(value) is int else 0
