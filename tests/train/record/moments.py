"""Moments of a run of 2 epochs with 10 steps each, and a callback that stores what it is told."""

from pathlib import Path
from typing import Any

from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochReport, Reading
from headrace.train.record.moments import End, Reason, Saved, Start, StepLogged
from headrace.train.record.sums import Sums

Moment = Start | StepLogged | EpochReport | Saved | End


def start(folder: Path, step: int = 0) -> Start:
    """Return the start of the run, with two classes."""
    recipe: dict[str, dict[str, Any]] = {
        "model": {"name": "efficientnet-b0"},
        "train": {"epochs": 2},
        "optim": {"lr": 0.25, "name": "sgd"},
    }
    return Start(folder, recipe, "demo", (), step, 20, 2, "5" * 64, 480, 120, ("n1", "n2"), ("cat", "dog"))


def logged(step: int, loss: float = 1.0) -> StepLogged:
    """Return the last two steps, with losses around `loss`."""
    return StepLogged(step, (loss - 0.5, loss + 0.5), 0.25, Reading(10.0, 1.0))


def report(epoch: int, accuracy: int = 32) -> EpochReport:
    """Return an epoch of 1,000 images in 20 seconds, a quarter of them spent waiting."""
    sums = (Sums(2000.0, 83, 1000), Sums(150.0, accuracy, 100))
    return EpochReport(epoch, 2, 10 * epoch, *sums, 23.0, Reading(20.0, 5.0), 0.25)


def saved(step: int, *, best: bool = False) -> Saved:
    """Return a checkpoint of 1,000 bytes."""
    return Saved(step, Path("checkpoints/a.pt"), "0" * 64, 1000, 0.5, best)


def end(reason: Reason = "finished", error: str = "") -> End:
    """Return the end of the run."""
    return End(reason, 20, 2, 40.0, 2, error)


class Kept(Callback):
    """A callback that stores all moments."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def on_start(self, start: Start) -> None:
        """Store it."""
        self.moments.append(start)

    def on_step_logged(self, logged: StepLogged) -> None:
        """Store it."""
        self.moments.append(logged)

    def on_epoch(self, report: EpochReport) -> None:
        """Store it."""
        self.moments.append(report)

    def on_saved(self, saved: Saved) -> None:
        """Store it."""
        self.moments.append(saved)

    def on_end(self, end: End) -> None:
        """Store it."""
        self.moments.append(end)


def tell_all(callback: Callback, folder: Path) -> list[Moment]:
    """Tell a callback about a whole run, and return the moments."""
    told: list[Moment] = [start(folder)]
    callback.on_start(start(folder))
    for epoch in (1, 2):
        told += [logged(10 * epoch), saved(10 * epoch), report(epoch)]
        callback.on_step_logged(logged(10 * epoch))
        callback.on_saved(saved(10 * epoch))
        callback.on_epoch(report(epoch))
    callback.on_end(end())
    return [*told, end()]
