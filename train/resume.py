"""What a run goes on from: which checkpoint, and whether it is of the same shard set, classes and recipe."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from shards.errors import DataError, UsageError
from shards.order import Steps
from shards.shardset import ShardSet
from train import checkpoint
from train.accelerator import Accelerator
from train.progress import Progress
from train.recipe import Recipe
from train.sections import Runtime

PRECISIONS = tuple(name for name in get_args(Runtime.model_fields["precision"].annotation) if name != "auto")
OVERRIDES = ("classes", "recipe", "shards")
"""Differences from the checkpoint that a user may accept, each by its name."""


@dataclass(frozen=True)
class Resumed:
    """The state to go on from, where it was, and what the user should know: damaged files, accepted differences."""

    state: dict[str, Any]
    path: Path
    warnings: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained with. Raises DataError when it is not one."""
        try:
            return Recipe.model_validate_json(json.dumps(self.state["recipe"]), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except (TypeError, ValueError) as error:  # a tensor in it, an integer of thousands of digits
            what = str(error)
        raise DataError(f"{self.path}: its recipe is not valid ({what}). Use an earlier checkpoint")

    @property
    def progress(self) -> Progress:
        """How far it is. Raises DataError when that cannot be."""
        with self.explaining():
            return Progress.from_state(self.state["progress"])

    @property
    def precision(self) -> str:
        """What it was trained in, never "auto". Raises DataError when that is no precision."""
        if self.state["precision"] not in PRECISIONS:
            raise DataError(
                f"{self.path}: its precision is {self.state['precision'][:20]!r}. Use an earlier checkpoint"
            )
        return str(self.state["precision"])

    def precision_on(self, accelerator: Accelerator) -> str:
        """What it was trained in. Raises UsageError when this device does not have that."""
        if not accelerator.has(self.precision):
            raise UsageError(
                f"{self.path}: trained in {self.precision}, which needs a GPU; this run is on the CPU. "
                "Give --set runtime.precision=fp32"
            )
        return self.precision

    def refuse_impossible(self, steps: Steps) -> None:
        """Raise DataError when its precision is none, or its step is not one of its epoch's."""
        self.precision  # noqa: B018  raises
        step, done = self.progress.step, self.progress.epochs_done
        if not steps.ends(done - 1) <= step <= steps.ends(done):
            raise DataError(
                f"{self.path}: step {step} is not in epoch {done + 1} of {steps.samples:,} samples, "
                f"{steps.global_batch} a step. Use an earlier checkpoint"
            )

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """A ValueError or TypeError, of states that cannot be or do not fit, is a DataError that names the file."""
        try:
            yield
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{self.path}: its states do not fit the run ({error}). Use an earlier checkpoint"
            ) from error


def find(resume: str | None, out: Path | None) -> Resumed | None:
    """The checkpoint that `resume` means: "last" (must exist), "auto" (may), or the path of a file or run folder.

    A damaged newest one is passed over with a warning, but never for a fresh start: that all are damaged is a
    DataError. Raises UsageError when there is none.
    """
    if resume is None:
        return None
    if resume not in ("last", "auto"):
        path = Path(resume)
        return _newest(path) if path.is_dir() else Resumed(checkpoint.load(path), path)
    if out is None:
        raise UsageError("--resume needs --out DIR, the run folder to go on in, or the path of a checkpoint")
    return None if resume == "auto" and not checkpoint.exists(out) else _newest(out)


def _newest(run: Path) -> Resumed:
    state, path, passed_over = checkpoint.newest(run)
    return Resumed(state, path, tuple(f"{line}; the one before it is used" for line in passed_over))


def differences(resumed: Resumed, shards: ShardSet, recipe: Recipe, accepted: Collection[str]) -> tuple[str, ...]:
    """The differences from the checkpoint that were accepted, in words. Raises UsageError for one that was not."""
    state, path = resumed.state, resumed.path
    if "classes" not in accepted or len(state["classes"]) != len(shards.class_ids):
        refuse_other_classes(path, state["classes"], shards)
    found = {}
    if tuple(state["classes"]) != shards.class_ids:
        found["classes"] = "other names for its classes"
    if state["shard_set"] != shards.digest:
        found["shards"] = (
            f"trained on the shard set with digest {state['shard_set'][:16]}, {shards.root} has {shards.digest[:16]}: "
            "the order of samples changes"
        )
    if changed := _changed(resumed.recipe, recipe):
        found["recipe"] = f"the recipe differs: {'; '.join(changed)}"
    for name, text in found.items():
        if name not in accepted:
            raise UsageError(f"{path}: {text}. {_REMEDY[name]}, or accept it by --override {name}")
    _refuse_another_run(path, resumed.recipe, recipe)
    return tuple(f"{path}: {text} (accepted by --override {name})" for name, text in found.items())


def _refuse_another_run(path: Path, before: Recipe, now: Recipe) -> None:
    """Raise UsageError for a difference that leaves the checkpoint's states without a meaning."""
    for key, was, wanted, why in (
        ("train.global_batch", before.train.global_batch, now.train.global_batch, "decides which step it is of"),
        ("model.name", before.model.name, now.model.name, "decides which weights it has"),
        ("optim.name", before.optim.name, now.optim.name, "decides what it has kept of each weight"),
    ):
        if was != wanted:
            raise UsageError(
                f"{path}: {key} was {was}, is {wanted}: it {why}, so it cannot change within a run. "
                "Start a new run with --weights"
            )
    if bool(before.optim.momentum) != bool(now.optim.momentum) and now.optim.name != "adamw":
        raise UsageError(
            f"{path}: optim.momentum was {before.optim.momentum:g}, is {now.optim.momentum:g}: "
            "a run cannot begin or cease to have momentum on its way. Start a new run with --weights"
        )


_REMEDY = {
    "classes": "Give the shard set that it was trained on",
    "shards": "Give the set of that run",
    "recipe": "Resume without --recipe and --set to take the checkpoint's, start a new run with --weights",
}


def _changed(before: Recipe, now: Recipe) -> list[str]:
    values = now.result()
    return [
        f"{section}.{key} was {old}, is {values[section][key]}"
        for section, keys in before.result().items()
        for key, old in keys.items()
        if old != values[section][key]
    ]


def refuse_other_classes(path: Path, classes: list[str], shards: ShardSet) -> None:
    """Raise UsageError when the class list of a checkpoint is not the shard set's, in the same order."""
    if tuple(classes) == shards.class_ids:
        return
    both = zip(classes, shards.class_ids, strict=False)
    place = next((i for i, (a, b) in enumerate(both) if a != b), min(len(classes), len(shards.class_ids)))
    raise UsageError(
        f"{path}: trained on {len(classes)} classes, {shards.root} has {len(shards.class_ids)}; "
        f"they differ first at label {place}. Give the shard set that it was trained on, or one with the same classes"
    )
