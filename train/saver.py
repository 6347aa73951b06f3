"""What goes into a checkpoint besides the states of the step, and which rank writes it."""

import time
from dataclasses import dataclass
from typing import Any

from shards.errors import HeadraceError
from train import checkpoint
from train.environment import versions
from train.parts import Place, state_of
from train.progress import Progress
from train.runlog import Saved
from train.setup import Setup
from train.states import not_finite, tensors_of
from train.step import TrainStep
from train.tally import NotFiniteError


@dataclass(frozen=True)
class Saver:
    """Saves a run. Every rank calls it, rank 0 writes."""

    setup: Setup
    place: Place
    step: TrainStep

    def __call__(self, progress: Progress, *, best: bool) -> Saved:
        """Write a checkpoint of the run as it is now. Raises NotFiniteError instead when its weights are not numbers.

        A loss may still have been finite when the update after it was not.
        """
        if not self.place.world.is_main:
            return Saved(0.0, 0)
        began = time.perf_counter()
        state = self._state(progress)
        if (name := not_finite(tensors_of(state))) is not None:
            raise NotFiniteError(progress.step - 1, f"the loss was finite, but the update made {name} infinite")
        try:
            size = checkpoint.save(
                self.setup.out, state, progress.step, best=best, keep=self.setup.recipe.runtime.keep_checkpoints
            )
        except HeadraceError as error:
            raise type(error)(f"{error}. The checkpoints before it are whole: then go on by --resume") from error
        return Saved(time.perf_counter() - began, size)

    def _state(self, progress: Progress) -> dict[str, Any]:
        setup, place = self.setup, self.place
        return {
            "format": checkpoint.FORMAT,
            "headrace": versions().get("headrace", "unknown"),
            **state_of(self.step),
            "progress": progress.state(),
            "recipe": setup.recipe.model_dump(mode="json", exclude_none=True),
            "precision": self.step.numerics.precision,
            "classes": list(setup.shards.class_ids),
            "shard_set": setup.shards.digest,
            "world": {"processes": place.world.size, "threads": place.threads},
        }
