"""Counts the progress of a run in steps, epochs and seconds, as a checkpoint holds it."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from headrace.train.model.states import refuse_other_names
from headrace.train.record.sums import Sums

_MOST = 1 << 53  # steps, epochs or samples


@dataclass
class Progress:
    """Steps taken, epochs evaluated, sums of loss and counts in the unfinished epoch, and best accuracy in % so far."""

    step: int = 0
    epochs_done: int = 0
    epoch_sums: Sums = field(default_factory=Sums)
    epoch_seconds: float = 0.0
    epoch_stalled: float = 0.0
    best_accuracy: float = -1.0
    best_epoch: int = 0
    seconds: float = 0.0  # of all finished epochs, including evaluations

    def state(self) -> dict[str, Any]:
        """Return the progress as plain values, for a checkpoint."""
        return {**asdict(self), "epoch_sums": list(self.epoch_sums)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Progress":
        """Return the progress that `state` describes. Raises ValueError or TypeError if `state` is invalid."""
        kinds = {one.name: list if one.type is Sums else one.type for one in fields(cls)}
        refuse_other_names(state, kinds, "progress")
        if wrong := [name for name, kind in kinds.items() if type(state[name]) is not kind]:
            raise TypeError(f"progress.{wrong[0]} has the wrong type, {type(state[wrong[0]]).__name__}")
        if list(map(type, state["epoch_sums"])) != [float, int, int]:
            raise TypeError("progress.epoch_sums is not a list of a float (the loss) and two integers (counts)")
        found = cls(**{**state, "epoch_sums": Sums(*state["epoch_sums"])})
        if not found._possible():
            raise ValueError(f"impossible progress: {state}")
        return found

    def _possible(self) -> bool:
        loss, correct, seen = self.epoch_sums
        whole = 0 <= self.step <= _MOST and 0 <= self.best_epoch <= self.epochs_done <= _MOST
        counted = 0 <= correct <= seen <= _MOST and math.isfinite(loss) and -1 <= self.best_accuracy <= 100
        times = (self.epoch_seconds, self.epoch_stalled, self.seconds)
        return whole and counted and all(0 <= one <= _MOST for one in times)

    def end_epoch(self, accuracy: float, seconds: float) -> bool:
        """Record accuracy in % and duration of a finished epoch; return whether that epoch is the best so far."""
        self.epochs_done += 1
        self.seconds += seconds
        self.epoch_sums, self.epoch_seconds, self.epoch_stalled = Sums(), 0.0, 0.0
        best = accuracy > self.best_accuracy
        if best:
            self.best_accuracy, self.best_epoch = accuracy, self.epochs_done
        return best
