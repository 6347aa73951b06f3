"""Defines the events of a run that are passed to callbacks, as plain values; `EpochReport` is defined in `epoch.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headrace.train.record.epoch import Reading

Reason = Literal["finished", "stopped", "failed"]
"""The ways in which a run can end; "stopped" means that a signal stopped the run after a save."""


@dataclass(frozen=True)
class Start:
    """A new or resumed run is about to take its first step."""

    folder: Path
    recipe: Mapping[str, Mapping[str, Any]]  # every value that was used, by section and key
    recipe_name: str | None  # as given: a shipped recipe or a file; None if a checkpoint held it
    settings: tuple[str, ...]  # changes to it, as "section.key=value"
    step: int  # updates made before: 0 for a new run
    steps: int  # updates of the whole run
    epochs: int
    shard_set: str  # its digest
    train_samples: int
    validation_samples: int
    classes: tuple[str, ...]  # ids, in the order of the labels
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class StepLogged:
    """The losses of the steps after the previous event of this kind, up to and including `step`."""

    step: int  # updates made
    losses: tuple[float, ...]  # the global batch's mean for each step since the last such moment
    lr: float  # of the last of them
    reading: Reading  # of the epoch so far

    @property
    def loss(self) -> float:
        """The mean of the losses of the last steps."""
        return sum(self.losses) / len(self.losses)

    def row(self) -> dict[str, Any]:
        """Return the values as fields of a row of metrics.jsonl."""
        return {
            "loss": self.loss,
            "losses": list(self.losses),
            "lr": self.lr,
            "epoch_seconds": self.reading.seconds,
            "epoch_stalled": self.reading.stalled,
        }


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written."""

    step: int  # updates made
    path: Path
    sha256: str  # of the file, in hex
    bytes: int
    seconds: float  # that the run paused for it
    best: bool  # whether it is the best so far

    def row(self) -> dict[str, Any]:
        """Return the fields of the row of metrics.jsonl about this checkpoint."""
        return {"seconds": self.seconds, "bytes": self.bytes}


@dataclass(frozen=True)
class End:
    """The run is over, for good or until it is resumed."""

    reason: Reason
    step: int  # updates made
    epochs: int  # done
    best_accuracy: float  # percent of the validation split; -1 before the first epoch
    best_epoch: int  # 0 before the first epoch
    error: str = ""  # what ended a run that failed
