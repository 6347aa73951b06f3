"""A checkpoint as fields: each is parsed once, when the file has been read, and is what a run may rely on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from headrace.shards.errors import DataError, UsageError
from headrace.shards.order import Steps
from headrace.train.checkpoint.files import Stored
from headrace.train.checkpoint.progress import Progress
from headrace.train.machine.device import Accelerator
from headrace.train.recipe.recipe import Recipe
from headrace.train.recipe.sections import Runtime

PRECISIONS = tuple(name for name in get_args(Runtime.model_fields["precision"].annotation) if name != "auto")


@dataclass(frozen=True)
class Checkpoint:
    """What a run saved. The four tables of tensors and numbers are checked where they are put to use."""

    path: Path
    sha256: str
    recipe: Recipe
    progress: Progress
    precision: str  # never "auto"
    classes: tuple[str, ...]
    shard_set: str  # the digest
    model: dict[str, Any]
    average: dict[str, Any]  # empty where none was kept
    optimizer: dict[str, Any]
    scaler: dict[str, Any]

    @classmethod
    def of(cls, stored: Stored) -> "Checkpoint":
        """The fields of a file. Raises DataError, naming it, when its recipe, progress or precision cannot be."""
        state, path, sha256 = stored
        precision = state["precision"]
        if precision not in PRECISIONS:
            raise DataError(f"{path}: its precision is {precision[:20]!r}. Use an earlier checkpoint")
        with _explaining(path):
            progress = Progress.from_state(state["progress"])
        return cls(
            path=path,
            sha256=sha256,
            recipe=_recipe(state["recipe"], path),
            progress=progress,
            precision=precision,
            classes=tuple(state["classes"]),
            shard_set=state["shard_set"],
            model=state["model"],
            average=state["average"],
            optimizer=state["optimizer"],
            scaler=state["scaler"],
        )

    def precision_on(self, accelerator: Accelerator) -> str:
        """What it was trained in. Raises UsageError when this device does not have that."""
        if not accelerator.has(self.precision):
            raise UsageError(
                f"{self.path}: trained in {self.precision}, which needs a GPU; this run is on the CPU. "
                "Give --set runtime.precision=fp32"
            )
        return self.precision

    def refuse_impossible(self, steps: Steps) -> None:
        """Raise DataError when its step is not one of its epoch's."""
        step, done = self.progress.step, self.progress.epochs_done
        if not steps.ends(done - 1) <= step <= steps.ends(done):
            raise DataError(
                f"{self.path}: step {step} is not in epoch {done + 1} of {steps.samples:,} samples, "
                f"{steps.global_batch} a step. Use an earlier checkpoint"
            )

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """A ValueError or TypeError, of states that cannot be or do not fit, is a DataError that names the file."""
        with _explaining(self.path):
            yield


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: its states do not fit the run ({error}). Use an earlier checkpoint") from error


def _recipe(saved: dict[str, Any], path: Path) -> Recipe:
    """The recipe that it was trained with."""
    try:
        return Recipe.model_validate_json(json.dumps(saved), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (TypeError, ValueError) as error:  # a tensor in it, an integer of thousands of digits
        what = str(error)
    raise DataError(f"{path}: its recipe is not valid ({what}). Use an earlier checkpoint")
