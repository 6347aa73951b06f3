"""What goes into a checkpoint besides the states of the step, and which rank writes it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.shards.errors import HeadraceError
from headrace.shards.version import running_version
from headrace.train.checkpoint import files, formats
from headrace.train.checkpoint.progress import Progress
from headrace.train.model.states import not_finite, tensors_of
from headrace.train.record.moments import Saved
from headrace.train.step.tally import NotFiniteError


@dataclass(frozen=True)
class Saver:
    """Saves a run in the folder `out`. Every rank calls it, the one that `writes` does.

    `states` gives the tables of tensors and numbers as they are at the time. `about` is what stays the same from
    checkpoint to checkpoint: recipe, precision, network, normalisation, classes, shard set, processes.
    """

    out: Path
    keep: int
    about: Mapping[str, Any]
    states: Callable[[], Mapping[str, Any]]
    writes: bool

    def __call__(self, progress: Progress, *, best: bool) -> Saved | None:
        """Write a checkpoint of the run as it is now; None on ranks that do not write.

        Raises NotFiniteError instead when its weights are not numbers. A loss may still have been finite when the
        update after it was not.
        """
        if not self.writes:
            return None
        began = time.perf_counter()
        state = self._state(progress)
        if (name := not_finite(tensors_of(state))) is not None:
            raise NotFiniteError(progress.step - 1, f"the loss was finite, but the update made {name} infinite")
        try:
            written = files.save(self.out, state, progress.step, best=best, keep=self.keep)
        except HeadraceError as error:
            raise type(error)(f"{error}. The checkpoints before it are whole: then go on by --resume") from error
        return Saved(progress.step, *written, time.perf_counter() - began, best)

    def _state(self, progress: Progress) -> dict[str, Any]:
        return {
            "format": formats.FORMAT,
            "headrace": running_version(),
            **self.states(),
            "progress": progress.state(),
            **self.about,
        }
