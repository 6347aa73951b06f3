"""The moments of a run that callbacks are told of, as plain values. `EpochReport` is one more."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headrace.train.record.epoch import Reading

Reason = Literal["finished", "stopped", "failed"]
"""How a run ended. Stopped is by a signal, after a save."""


@dataclass(frozen=True)
class Start:
    """A run, or a part of one that is resumed, is about to take its first step."""

    folder: Path
    recipe: Mapping[str, Mapping[str, Any]]  # every value that was used, by section and key
    recipe_name: str | None  # as it was asked for: a shipped recipe or a file; None where a checkpoint had it
    settings: tuple[str, ...]  # what was changed of it, as "section.key=value"
    step: int  # updates that were made before: 0 for a new run
    steps: int  # updates of the whole run
    epochs: int
    shard_set: str  # its digest
    train_samples: int
    validation_samples: int
    classes: tuple[str, ...]  # ids, in the order of the labels
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class StepLogged:
    """Steps whose losses were read from the device, up to update number `step`."""

    step: int  # updates made
    losses: tuple[float, ...]  # of each step since the last such moment: the global batch's mean
    lr: float  # of the last of them
    reading: Reading  # of the epoch so far

    @property
    def loss(self) -> float:
        """Their mean."""
        return sum(self.losses) / len(self.losses)

    def row(self) -> dict[str, Any]:
        """The same for metrics.jsonl."""
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
    seconds: float  # that the run stood still for it
    best: bool  # whether it is the best so far

    def row(self) -> dict[str, Any]:
        """What metrics.jsonl has of it."""
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
