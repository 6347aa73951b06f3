"""What one epoch came to: its line for people, its row for programs."""

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
    """Seconds of training since the epoch began, and how many of them the step waited for data."""

    seconds: float
    stalled: float

    @property
    def stall(self) -> float:
        """Percent of the time that the step waited for data."""
        return 100.0 * self.stalled / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class EpochPart:
    """How far an epoch has come."""

    epoch: int  # from 1
    epochs: int
    step: int  # of the epoch
    steps: int
    images: int
    loss: float  # of the last steps
    reading: Reading

    def line(self, now: datetime) -> str:
        """In the form of the epoch's line."""
        rate = self.images / self.reading.seconds if self.reading.seconds else 0.0
        return (
            f"[{now:%Y-%m-%d %H:%M:%S.%f}]: [{self.epoch}/{self.epochs}] step {self.step:,} of {self.steps:,}, "
            f"Train Loss: {self.loss:.5f}, Images/s: {rate:.1f}, Stall: {self.reading.stall:.2f}%"
        )


@dataclass(frozen=True)
class EpochReport:
    """What one epoch came to. `seconds` counts training and evaluation."""

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
        """Training images a second, over all ranks, evaluation not counted."""
        return self.train.seen / self.reading.seconds if self.reading.seconds else 0.0

    def line(self, now: datetime) -> str:
        """The epoch in the form of the 2023 log, with more at its end."""
        return (
            f"[{now:%Y-%m-%d %H:%M:%S.%f}]: [{self.epoch}/{self.epochs}] "
            f"Train Loss: {self.train.mean_loss:.5f}, Train Acc: {self.train.accuracy:.2f}%, "
            f"Test Loss: {self.validation.mean_loss:.5f}, Test Acc: {self.validation.accuracy:.2f}%, "
            f"Time: {self.seconds:.3f}s, Images/s: {self.images_per_second:.1f}, "
            f"Stall: {self.reading.stall:.2f}%"
        )

    def row(self) -> dict[str, Any]:
        """The same for epochs.csv and metrics.jsonl."""
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
