"""Parses the fields of a checkpoint right after its file is read; other code uses only the parsed values."""

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
from headrace.train.checkpoint.names import THIS, is_name
from headrace.train.checkpoint.progress import Progress
from headrace.train.machine.device import Accelerator
from headrace.train.model.names import FAMILIES, family_of
from headrace.train.model.normalisation import Normalisation, normalisation_of
from headrace.train.recipe.runtime import Runtime
from headrace.train.recipe.sections import Evaluate
from headrace.train.recipe.settled import Settled

NETWORK = {"family": "efficientnet"}
"""The keys of the checkpoint field `network`, with the values that hold for checkpoints without the field `network`."""
_WHITE = 255.0  # the largest value of a pixel
PRECISIONS = tuple(name for name in get_args(Runtime.model_fields["precision"].annotation) if name != "auto")


@dataclass(frozen=True)
class Checkpoint:
    """The parsed contents of a checkpoint file.

    The tables `model`, `average`, `optimizer` and `scaler` hold tensors and numbers. These tensors and numbers are
    checked only when a network, an optimizer or a loss scaler loads them.
    """

    path: Path
    sha256: str
    recipe: Settled
    progress: Progress
    precision: str  # never "auto"
    normalisation: Normalisation  # in format 1 that of the network in the recipe
    classes: tuple[str, ...]  # their ids, in the order of the labels
    class_names: tuple[str, ...] | None  # None in format 1: see the shard set
    size: int  # side in pixels of the images that its accuracy was measured on
    crop: float  # the fraction of each image's shorter side that was used then
    shard_set: str  # the digest
    decode: str | None  # where its training images were decoded, "cpu" or "mixed"; None if unknown
    best: str | None  # the name of the best file so far, "this" for this one, "" for none; None if it does not say
    prepared: Prepared  # how prep made the images of that set; prep's defaults if unknown
    model: dict[str, Any]
    average: dict[str, Any]  # empty if none was kept
    optimizer: dict[str, Any]
    scaler: dict[str, Any]

    @classmethod
    def of(cls, stored: Stored) -> "Checkpoint":
        """Parse the fields of a file. Raises DataError, which names the file, if a field is invalid.

        Raises NewerError if the checkpoint's network, or a value of its recipe, needs a newer Headrace.
        """
        state, path, sha256 = stored
        network = state.get("network", NETWORK)
        _refuse_other_networks(network, path)
        precision = state["precision"]
        if precision not in PRECISIONS:
            raise DataError(
                f"{path}: the checkpoint's precision is {precision[:20]!r}, not one of {', '.join(PRECISIONS)}. "
                "Use an earlier checkpoint"
            )
        recipe = _recipe(state["recipe"], path)
        if network["family"] != family_of(recipe.model.name):
            raise DataError(
                f"{path}: the checkpoint's network is of the family {network['family']}, but its recipe names "
                f"{recipe.model.name}. Use an earlier checkpoint"
            )
        refuse_unknown(
            path, state["progress"], [one.name for one in fields(Progress)], where="the checkpoint's progress"
        )
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
            best=_best(state, path),
            prepared=_prepared(state, path),
            model=state["model"],
            average=state["average"],
            optimizer=state["optimizer"],
            scaler=state["scaler"],
        )

    def precision_on(self, accelerator: Accelerator) -> str:
        """Return the precision of the checkpoint's training. Raises UsageError if this device lacks that precision."""
        if not accelerator.has(self.precision):
            raise UsageError(
                f"{self.path}: the checkpoint was trained in {self.precision}, which needs a GPU; this run is on the "
                "CPU. Give --set runtime.precision=fp32"
            )
        return self.precision

    def decode_on(self, accelerator: Accelerator, wanted: str) -> str:
        """Return the value of runtime.decode to use on this device: `wanted`, unless that is "auto".

        "auto" becomes "cpu" on a CPU, and on a GPU the value used in training. If the checkpoint does not record the
        value used in training, "auto" remains.
        """
        if wanted != "auto" or self.decode is None:
            return wanted
        return accelerator.either(cpu="cpu", gpu=self.decode)

    def refuse_impossible(self, steps: Steps) -> None:
        """Raise DataError if the checkpoint's step does not belong to the epoch that the checkpoint records."""
        step, done = self.progress.step, self.progress.epochs_done
        if not steps.ends(done - 1) <= step <= steps.ends(done):
            raise DataError(
                f"{self.path}: step {step} is not in epoch {done + 1}: an epoch has {steps.samples:,} samples, "
                f"and a step has {steps.global_batch}. Use an earlier checkpoint"
            )

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Within this context, turn a ValueError or TypeError into a DataError that names the checkpoint's file."""
        with _explaining(self.path):
            yield


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path}: the checkpoint's tensors or counts do not fit the run ({error}). Use an earlier checkpoint"
        ) from error


def _recipe(saved: dict[str, Any], path: Path) -> Settled:
    """Return the recipe that the checkpoint was trained with."""
    try:
        return Settled.model_validate_json(json.dumps(saved), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        if all(_of_newer(one["type"], one["input"]) for one in error.errors()):
            key = ".".join(map(str, first["loc"]))[:80]
            what = f"the checkpoint's recipe has a key or choice that this version does not know, {key}"
            raise NewerError.of(path, what) from error
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (TypeError, ValueError) as error:  # a tensor, or an integer of thousands of digits
        what = str(error)
    raise DataError(f"{path}: the checkpoint's recipe is not valid ({what}). Use an earlier checkpoint")


def _of_newer(problem: str, value: object) -> bool:
    """Return whether pydantic's error `problem` about `value` suggests that a newer Headrace saved the recipe."""
    return problem == "extra_forbidden" or (problem == "literal_error" and isinstance(value, str))


def _refuse_other_networks(network: dict[str, Any], path: Path) -> None:
    """Raise NewerError for a network that this version of Headrace cannot build."""
    family = network.get("family")
    if not isinstance(family, str):
        raise DataError(f"{path}: the checkpoint does not name the family of its network. Use an earlier checkpoint")
    refuse_unknown(path, network, NETWORK, where="the checkpoint's network")
    if family not in FAMILIES:
        what = f"the checkpoint's network is of a family that this version does not know, {family[:80]}"
        raise NewerError.of(path, what)


def _normalisation(state: dict[str, Any], recipe: Settled, path: Path) -> Normalisation:
    """Return the normalisation of images for the checkpoint's network."""
    if "mean" not in state:
        return normalisation_of(recipe.model.name)
    mean, std = state["mean"], state["std"]
    numbers = all(type(one) is float and 0 <= one <= _WHITE for one in (*mean, *std))
    if len(mean) == len(std) == 3 and numbers and min(std) > 0:
        return Normalisation(tuple(mean), tuple(std))
    raise DataError(
        f"{path}: the checkpoint's fields mean and std must each hold three numbers from 0 to 255, std none of 0. "
        "Use an earlier checkpoint"
    )


def _evaluated(state: dict[str, Any], recipe: Settled, path: Path) -> tuple[int, float]:
    """Return the image size and the crop with which the checkpoint's network was evaluated.

    A checkpoint of format 1 lacks these values; then return the values of its recipe.
    """
    size, crop = state.get("size", recipe.evaluate.size), state.get("crop", recipe.evaluate.crop)
    try:
        Evaluate(size=size, crop=crop)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path}: the checkpoint's field {first['loc'][0]} is {first['input']}: {first['msg']}. "
            "Use an earlier checkpoint"
        ) from error
    return size, crop


def _decode(state: dict[str, Any], path: Path) -> str | None:
    """Return where training images were decoded: "cpu" or "mixed" (a GPU); None if an older checkpoint lacks this."""
    decode: str | None = state.get("decode")
    if decode not in (None, "cpu", "mixed"):
        raise DataError(
            f"{path}: the checkpoint's field decode is {decode[:20]!r}, not cpu or mixed. Use an earlier checkpoint"
        )
    return decode


def _best(state: dict[str, Any], path: Path) -> str | None:
    """Return the name of the best checkpoint so far; None if an older checkpoint lacks the field `best`."""
    best: str | None = state.get("best")
    if best in (None, "", THIS) or is_name(best):
        return best
    raise DataError(
        f"{path}: the checkpoint's field best is {best[:80]!r}, not a checkpoint's name. Use an earlier checkpoint"
    )


def _prepared(state: dict[str, Any], path: Path) -> Prepared:
    """Return the options of prep that made the shard set's images; prep's defaults if the checkpoint has no options."""
    saved = state.get("prepared", {})
    refuse_unknown(path, saved, (), Prepared._fields, where="the checkpoint's table of prep's options")
    try:
        return Prepared.of(saved)
    except ValueError as error:
        raise DataError(
            f"{path}: the checkpoint's table of prep's options is invalid: {error}. Use an earlier checkpoint"
        ) from error


def _class_names(state: dict[str, Any], path: Path) -> tuple[str, ...] | None:
    names = state.get("class_names")
    if names is not None and len(names) != len(state["classes"]):
        raise DataError(
            f"{path}: the checkpoint has {len(names)} class names for {len(state['classes'])} classes. "
            "Use an earlier checkpoint"
        )
    return None if names is None else tuple(names)
