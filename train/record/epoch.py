"""Formats the results of one epoch: as a line for people and as a row for programs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.train.record.sums import Sums

EPOCH_FIELDS = (
    "epoch",
    "step",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
    "train_seconds",
    "images_per_second",
    "stall_percent",
    "lr",
)


@dataclass(frozen=True)
class Reading:
    """The seconds of training since the epoch began, and how many of these seconds the step waited for data.

    `fetching` is an upper bound of the seconds in which the step waited for shards that were being fetched.
    """

    seconds: float
    stalled: float
    fetching: float = 0.0

    @property
    def stall(self) -> float:
        """The percentage of the time in which the step waited for data."""
        return 100.0 * self.stalled / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class EpochPart:
    """The progress within an epoch."""

    epoch: int  # from 1
    epochs: int
    step: int  # of the epoch
    steps: int
    images: int
    loss: float  # of the last steps
    reading: Reading

    def line(self, now: datetime) -> str:
        """Return the progress as a line of text, in the format of the line about a finished epoch."""
        rate = self.images / self.reading.seconds if self.reading.seconds else 0.0
        return (
            f"[{now:%Y-%m-%d %H:%M:%S.%f}]: [{self.epoch}/{self.epochs}] step {self.step:,} of {self.steps:,}, "
            f"Train Loss: {self.loss:.5f}, Images/s: {rate:.1f}, Stall: {self.reading.stall:.2f}%"
        )


@dataclass(frozen=True)
class EpochReport:
    """The results of one epoch. `seconds` covers training and evaluation."""

    epoch: int  # from 1
    epochs: int
    step: int
    train: Sums
    validation: Sums
    seconds: float
    reading: Reading
    lr: float

    @property
    def images_per_second(self) -> float:
        """The training images a second over all ranks, without the time of the evaluation."""
        return self.train.seen / self.reading.seconds if self.reading.seconds else 0.0

    def line(self, now: datetime) -> str:
        """Return the epoch as a line in the format of this project's first program (2023), plus more figures."""
        return (
            f"[{now:%Y-%m-%d %H:%M:%S.%f}]: [{self.epoch}/{self.epochs}] "
            f"Train Loss: {self.train.mean_loss:.5f}, Train Acc: {self.train.accuracy:.2f}%, "
            f"Test Loss: {self.validation.mean_loss:.5f}, Test Acc: {self.validation.accuracy:.2f}%, "
            f"Time: {self.seconds:.3f}s, Images/s: {self.images_per_second:.1f}, "
            f"Stall: {self.reading.stall:.2f}%"
        )

    def row(self) -> dict[str, Any]:
        """Return the epoch as a row of epochs.csv and metrics.jsonl."""
        values = (
            self.epoch,
            self.step,
            self.train.mean_loss,
            self.train.accuracy,
            self.validation.mean_loss,
            self.validation.accuracy,
            self.seconds,
            self.reading.seconds,
            self.images_per_second,
            self.reading.stall,
            self.lr,
        )
        return dict(zip(EPOCH_FIELDS, values, strict=True))
