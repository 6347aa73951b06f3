"""How far a run is, in numbers that a checkpoint carries."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from train.sums import Sums

_MOST = 1 << 53  # steps, epochs or samples


@dataclass
class Progress:
    """Steps taken, epochs evaluated, the sums of the unfinished epoch, and the best validation accuracy so far."""

    step: int = 0
    epochs_done: int = 0
    epoch_sums: Sums = field(default_factory=Sums)
    epoch_seconds: float = 0.0
    epoch_stalled: float = 0.0
    best_accuracy: float = -1.0
    best_epoch: int = 0
    seconds: float = 0.0  # of all epochs that are done, evaluations included

    def state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {**asdict(self), "epoch_sums": list(self.epoch_sums)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Progress":
        """The progress that `state` describes. Raises ValueError or TypeError when it cannot be one."""
        for one in fields(cls):
            kind = list if one.type is Sums else one.type
            if type(state[one.name]) is not kind:
                raise TypeError(f"{one.name} is {state[one.name]!r}, not {one.type}")
        loss, correct, seen = state["epoch_sums"]
        sums = Sums(float(loss), int(correct), int(seen))
        found = cls(**{**state, "epoch_sums": sums})
        whole = (found.step, found.epochs_done, found.best_epoch, correct, seen)
        real = (found.epoch_seconds, found.epoch_stalled, found.best_accuracy, found.seconds, loss)
        if not all(0 <= number <= _MOST for number in whole) or not all(map(math.isfinite, real)):
            raise ValueError(f"impossible progress: {state}")
        return found

    def end_epoch(self, accuracy: float, seconds: float) -> bool:
        """Count an epoch as done, with its validation accuracy and length; whether it is the best so far."""
        self.epochs_done += 1
        self.seconds += seconds
        self.epoch_sums, self.epoch_seconds, self.epoch_stalled = Sums(), 0.0, 0.0
        best = accuracy > self.best_accuracy
        if best:
            self.best_accuracy, self.best_epoch = accuracy, self.epochs_done
        return best
