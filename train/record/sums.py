"""What a pass over samples came to: loss, correct, seen."""

from typing import NamedTuple


class Sums(NamedTuple):
    """What a pass over samples came to."""

    loss: float = 0.0
    correct: int = 0
    seen: int = 0

    @property
    def mean_loss(self) -> float:
        """Loss per sample; not a number before the first."""
        return self.loss / self.seen if self.seen else float("nan")

    @property
    def accuracy(self) -> float:
        """Percent of samples whose label was ranked first."""
        return 100.0 * self.correct / self.seen if self.seen else float("nan")


NOTHING = Sums()
