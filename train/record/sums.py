"""Defines the sums over a pass through a split: total loss, number of correct predictions, number of samples."""

from typing import NamedTuple


class Sums(NamedTuple):
    """The sums over a pass through a split: total loss, number of correct predictions, number of samples seen."""

    loss: float = 0.0
    correct: int = 0
    seen: int = 0

    @property
    def mean_loss(self) -> float:
        """The mean loss per sample; NaN before the first sample."""
        return self.loss / self.seen if self.seen else float("nan")

    @property
    def accuracy(self) -> float:
        """The percentage of samples whose label was the most likely class; NaN before the first sample."""
        return 100.0 * self.correct / self.seen if self.seen else float("nan")


NOTHING = Sums()
