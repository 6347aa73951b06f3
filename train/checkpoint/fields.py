"""A checkpoint as fields: each is parsed once, when the file has been read, and is what a run may rely on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.order import Steps
from headrace.shards.prepared import Prepared
from headrace.train.checkpoint.files import Stored
from headrace.train.checkpoint.formats import refuse_unknown
from headrace.train.checkpoint.progress import Progress
from headrace.train.machine.device import Accelerator
from headrace.train.model.normalisation import Normalisation, normalisation_of
from headrace.train.recipe.sections import Evaluate, Runtime
from headrace.train.recipe.settled import Settled

NETWORK = {"family": "efficientnet"}
"""What a checkpoint says of its network: whose code builds the one that `model.name` of the recipe names."""
_WHITE = 255.0  # the largest value of a pixel
PRECISIONS = tuple(name for name in get_args(Runtime.model_fields["precision"].annotation) if name != "auto")


@dataclass(frozen=True)
class Checkpoint:
    """What a run saved. The four tables of tensors and numbers are checked where they are put to use."""

    path: Path
    sha256: str
    recipe: Settled
    progress: Progress
    precision: str  # never "auto"
    normalisation: Normalisation  # in format 1 that of the recipe's model
    classes: tuple[str, ...]  # their ids, in the order of the labels
    class_names: tuple[str, ...] | None  # None in format 1: ask the shard set
    size: int  # of the images that its accuracy was measured on, pixels
    crop: float  # of each image's shorter side, for the same
    shard_set: str  # the digest
    decode: str | None  # "cpu" or "mixed": where the images were decoded that it was trained on; None if unknown
    prepared: Prepared  # how prep made the images of that set; as it does by default where that is not known
    model: dict[str, Any]
    average: dict[str, Any]  # empty where none was kept
    optimizer: dict[str, Any]
    scaler: dict[str, Any]

    @classmethod
    def of(cls, stored: Stored) -> "Checkpoint":
        """The fields of a file. Raises DataError, naming it, when one of them cannot be.

        Raises NewerError when its network, or a value of its recipe, is of a newer Headrace.
        """
        state, path, sha256 = stored
        _refuse_other_networks(state.get("network", NETWORK), path)
        precision = state["precision"]
        if precision not in PRECISIONS:
            raise DataError(f"{path}: its precision is {precision[:20]!r}. Use an earlier checkpoint")
        recipe = _recipe(state["recipe"], path)
        refuse_unknown(path, state["progress"], [one.name for one in fields(Progress)], where="its progress")
        size, crop = _evaluated(state, recipe, path)
        with _explaining(path):
            progress = Progress.from_state(state["progress"])
        return cls(
            path=path,
            sha256=sha256,
            recipe=recipe,
            progress=progress,
            precision=precision,
            normalisation=_normalisation(state, recipe, path),
            classes=tuple(state["classes"]),
            class_names=_class_names(state, path),
            size=size,
            crop=crop,
            shard_set=state["shard_set"],
            decode=_decode(state, path),
            prepared=_prepared(state, path),
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

    def decode_on(self, accelerator: Accelerator, wanted: str) -> str:
        """Where to decode its images on this device: as it was trained if `wanted` is "auto", "auto" if unknown."""
        if wanted != "auto" or self.decode is None:
            return wanted
        return accelerator.either(cpu="cpu", gpu=self.decode)

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


def _recipe(saved: dict[str, Any], path: Path) -> Settled:
    """The recipe that it was trained with."""
    try:
        return Settled.model_validate_json(json.dumps(saved), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        if all(_of_newer(one["type"], one["input"]) for one in error.errors()):
            key = ".".join(map(str, first["loc"]))[:80]
            what = f"its recipe has a key or choice that this version does not know, {key}"
            raise NewerError.of(path, what) from error
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (TypeError, ValueError) as error:  # a tensor in it, an integer of thousands of digits
        what = str(error)
    raise DataError(f"{path}: its recipe is not valid ({what}). Use an earlier checkpoint")


def _of_newer(problem: str, value: object) -> bool:
    """Whether a recipe that was sound when it was saved may have this kind of problem, with this value, here."""
    return problem == "extra_forbidden" or (problem == "literal_error" and isinstance(value, str))


def _refuse_other_networks(network: dict[str, Any], path: Path) -> None:
    """Raise NewerError for a network that this version cannot build."""
    family = network.get("family")
    if not isinstance(family, str):
        raise DataError(f"{path}: its network is of no family. Use an earlier checkpoint")
    refuse_unknown(path, network, NETWORK, where="its network")
    if network != NETWORK:
        raise NewerError.of(path, f"its network is of a family that this version does not know, {family[:80]}")


def _normalisation(state: dict[str, Any], recipe: Settled, path: Path) -> Normalisation:
    """What images must look like to its network."""
    if "mean" not in state:
        return normalisation_of(recipe.model.name)
    mean, std = state["mean"], state["std"]
    numbers = all(type(one) is float and 0 <= one <= _WHITE for one in (*mean, *std))
    if len(mean) == len(std) == 3 and numbers and min(std) > 0:
        return Normalisation(tuple(mean), tuple(std))
    raise DataError(
        f"{path}: its mean and std are not three numbers each, of 0 to 255, std above 0. Use an earlier one"
    )


def _evaluated(state: dict[str, Any], recipe: Settled, path: Path) -> tuple[int, float]:
    """The size and crop of its evaluation; those of its recipe where it has no fields for them, as in format 1."""
    size, crop = state.get("size", recipe.evaluate.size), state.get("crop", recipe.evaluate.crop)
    try:
        Evaluate(size=size, crop=crop)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {first['loc'][0]} is {first['input']}: {first['msg']}. Use an earlier one") from error
    return size, crop


def _decode(state: dict[str, Any], path: Path) -> str | None:
    """Where its images were decoded; older checkpoints do not say it."""
    decode: str | None = state.get("decode")
    if decode not in (None, "cpu", "mixed"):
        raise DataError(f"{path}: its decode is {decode[:20]!r}, not cpu or mixed. Use an earlier checkpoint")
    return decode


def _prepared(state: dict[str, Any], path: Path) -> Prepared:
    """How prep made the images of its set; not there of a set that prep did not make, and in older checkpoints."""
    saved = state.get("prepared", {})
    refuse_unknown(path, saved, (), Prepared._fields, where="what it says of prep")
    try:
        return Prepared.of(saved)
    except ValueError as error:
        raise DataError(f"{path}: its set was prepared so that {error}. Use an earlier checkpoint") from error


def _class_names(state: dict[str, Any], path: Path) -> tuple[str, ...] | None:
    names = state.get("class_names")
    if names is not None and len(names) != len(state["classes"]):
        raise DataError(f"{path}: {len(names)} class names for {len(state['classes'])} classes. Use an earlier one")
    return None if names is None else tuple(names)
