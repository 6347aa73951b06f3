"""Reads the facts for a run's web page from the files of the run folder; missing and damaged files are skipped."""

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
    """The facts about a run, read from the files in its folder."""

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
        """The name of the run folder."""
        return self.folder.absolute().name

    @property
    def epochs(self) -> int:
        """The number of epochs of the whole run; 0 if unknown."""
        return self.about.epochs or _whole(self.recipe.get("train", {}).get("epochs"))


class FactsReader:
    """Reads a run folder repeatedly during a run; unchanged files are not read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._history = HistoryReader(folder)
        self._stamp: tuple[int, int] | None = None
        self._predictions: Predictions | None = None

    def read(self) -> Facts:
        """Read the current facts about the run. Raises UsageError if the folder is not a run folder."""
        folder = self._folder
        if not any((folder / name).exists() for name in _SIGNS):
            raise UsageError(
                f"{folder}: not a run folder: the folder has none of {', '.join(_SIGNS)}. "
                "Give the --out folder of a run"
            )
        seen, training = pictures.read(folder, pictures.TRAINING)
        predictions = self._read_predictions()
        of, mistakes = pictures.read(folder, pictures.MISTAKES)
        if predictions is None or of.get("checkpoint") != predictions.origin.checkpoint:
            mistakes = []  # they belong to an earlier evaluation
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
