"""What goes into a checkpoint besides the states of the step, and which rank writes it."""

from dataclasses import dataclass

from train import checkpoint
from train.environment import versions
from train.parts import Place, state_of
from train.progress import Progress
from train.setup import Setup
from train.step import TrainStep


@dataclass(frozen=True)
class Saver:
    """Saves a run. Every rank calls it, rank 0 writes."""

    setup: Setup
    place: Place
    step: TrainStep

    def __call__(self, progress: Progress, *, best: bool) -> None:
        """Write a checkpoint of the run as it is now."""
        if not self.place.world.is_main:
            return
        setup, place = self.setup, self.place
        state = {
            "format": checkpoint.FORMAT,
            "headrace": versions().get("headrace", "unknown"),
            **state_of(self.step),
            "progress": progress.state(),
            "recipe": setup.recipe.model_dump(mode="json", exclude_none=True),
            "precision": place.accelerator.precision,
            "classes": list(setup.shards.class_ids),
            "shard_set": setup.shards.digest,
            "world": {"processes": place.world.size, "threads": place.threads},
        }
        checkpoint.save(setup.out, state, progress.step, best=best)
