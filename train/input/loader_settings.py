"""Checks the arguments of a `Loader` that decide the content of its batches, and converts them to settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headrace.shards.errors import UsageError
from headrace.train.input.normalise import IMAGENET, Colour
from headrace.train.input.plans import Sizes
from headrace.train.recipe.recipe import load_recipe
from headrace.train.recipe.sections import Augment

_MOST = 1_000_000
_WHOLE = {
    "batch": (1, _MOST),
    "group": (1, _MOST),
    "window": (1, _MOST),
    "partitions": (1, _MOST),
    "seed": (0, 2**63 - 1),
}
_SHARES = {"crop": (0.1, 1.0), "smoothing": (0.0, 0.999)}
_SIDES = range(8, 4097)  # pixels
_LONG = 120  # characters; a state holds the hash of a value that is longer
_UNUSED = ("size", "sizes")  # keys of a recipe's augment section; a loader has sizes by step instead
_INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Settings:
    """The arguments of a loader that decide the content of its batches. They do not depend on the number of ranks."""

    split: str
    train: bool
    batch: int
    group: int | None
    sizes: Sizes
    augment: Augment | None
    seed: int
    window: int | None
    partitions: int
    crop: float
    smoothing: float
    normalise: tuple[Colour, Colour] | None  # mean and deviation, in 0 to 255
    pad: bool
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.train:
            self._check_training()
        elif asked := self._for_training():
            raise UsageError(
                f"{asked[0]} is for training, but the split {self.split!r} is used for validation: omit "
                f"{' and '.join(asked)}, or give train=True"
            )

    def _check_numbers(self) -> None:
        """Raise UsageError, which names the argument, if a number is out of range."""
        for name, (least, most) in _WHOLE.items():
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not least <= value <= most):
                raise UsageError(f"{name} = {value!r}: expected a whole number from {least} to {most}")
        for name, (low, high) in _SHARES.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise UsageError(f"{name} = {value!r}: expected {low:g} to {high:g}")
        if self.interpolation not in _INTERPOLATIONS:
            raise UsageError(f"interpolation = {self.interpolation!r}: expected {' or '.join(_INTERPOLATIONS)}")

    def _for_training(self) -> list[str]:
        """Return the names of arguments that apply only to training and differ from their defaults."""
        asked = [name for name in ("group", "augment", "smoothing") if getattr(self, name)]
        return asked + ["partitions"] * (self.partitions > 1)

    def _check_training(self) -> None:
        if self.group and self.batch % self.group:
            raise UsageError(f"group = {self.group} does not divide batch = {self.batch}: change one of them")
        self._check_partitions()
        if self.mixes and not self.group:
            raise UsageError(
                "augment mixes images (mixup or cutmix) within groups, so group is required: the number of samples in "
                "a group. group must divide batch / world for every number of ranks that you will use. With the same "
                "group, the images are the same for any number of ranks"
            )
        if self.augment and self.augment.mixup and self.normalise is None:
            raise UsageError(
                "mixup blends images, which gives fractions, but normalise=None keeps images as uint8. Give normalise, "
                "or augment without mixup"
            )

    def _check_partitions(self) -> None:
        groups = self.batch // (self.group or 1)
        if groups % self.partitions:
            what = f"the {groups} groups of a batch" if self.group else f"batch = {self.batch}"
            fitting = ", ".join(str(count) for count in range(1, groups + 1) if groups % count == 0)
            raise UsageError(f"partitions = {self.partitions} does not divide {what}; these do: {fitting}")

    @property
    def mean(self) -> Colour:
        """The colour of erased pixels, 0 to 255: the mean in `normalise`, or ImageNet's mean if `normalise` is None."""
        return (self.normalise or normalise_of(IMAGENET) or ((0.0, 0.0, 0.0),))[0]

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with one another (mixup or CutMix)."""
        return self.augment is not None and bool(self.augment.mixup or self.augment.cutmix)

    @property
    def soft(self) -> bool:
        """Whether targets are soft: for each image, the share of each class instead of one label."""
        return self.train and (self.mixes or self.smoothing > 0)

    def share(self, ranks: int) -> int:
        """Return how many samples of a batch each of `ranks` ranks gets.

        Raises UsageError if the ranks cannot get equal numbers of samples.
        """
        if self.batch % (ranks * (self.group or 1)):
            fitting = [n for n in range(1, self.batch + 1) if self.batch % (n * (self.group or 1)) == 0]
            what = f"batch = {self.batch}" + (f" in groups of {self.group}" if self.group else "")
            raise UsageError(
                f"{what} cannot be divided equally among {ranks} ranks; possible numbers of ranks: "
                f"{', '.join(map(str, fitting))}"
            )
        return self.batch // ranks

    def identity(self) -> dict[str, Any]:
        """Return, by name, the arguments that must be equal in the loaders that save and load a state.

        Long values are replaced by hashes.
        """
        augment = None if self.augment is None else self.augment.model_dump(mode="json", exclude_defaults=True)
        values = {
            "split": self.split,
            "train": self.train,
            "batch": self.batch,
            "group": self.group,
            "size": [list(stage) for stage in self.sizes],
            "augment": augment,
            "seed": self.seed,
            "window": self.window,
            "partitions": self.partitions,
            "crop": self.crop,
            "smoothing": self.smoothing,
            "normalise": None if self.normalise is None else [list(colour) for colour in self.normalise],
            "interpolation": self.interpolation,
        }
        return {name: _short(value) for name, value in values.items()}


def _short(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    return value if len(text) <= _LONG else f"sha256:{sha256(text.encode()).hexdigest()[:32]}"


def sizes_of(size: int | Sizes) -> Sizes:
    """Return `size` as pairs (first step, side).

    Raises UsageError for invalid sides, and for steps that are not in order.
    """
    try:
        stages: Sizes = ((0, size),) if isinstance(size, int) else tuple((first, side) for first, side in size)
    except (TypeError, ValueError) as error:
        raise UsageError(f"size = {size!r}: expected a side in pixels, or ((first step, side), ...)") from error
    firsts, sides = [first for first, _ in stages], [side for _, side in stages]
    if not stages or firsts[0] != 0 or firsts != sorted(set(firsts)):
        raise UsageError(
            f"size lists the steps {firsts}: the first step must be 0, and each step must exceed the one before"
        )
    if wrong := [side for side in sides if side not in _SIDES]:
        raise UsageError(f"size = {wrong[0]}: expected a whole number from {_SIDES.start} to {_SIDES.stop - 1}")
    return stages


def augment_of(augment: str | Path | Augment | Mapping[str, Any] | None) -> Augment | None:
    """Return an augmentation, given as a recipe's name or file, as a section `augment`, or as values of that section.

    Raises UsageError for invalid values; the error names the key and the values that the key allows.
    """
    if augment is None:
        return None
    if isinstance(augment, Augment):
        found = augment
    elif isinstance(augment, str | Path):
        found = load_recipe(str(augment)).augment
    else:
        try:
            found = Augment.model_validate_json(json.dumps(dict(augment)), strict=True)
        except (ValidationError, TypeError) as error:
            raise UsageError(f"augment: {_explain(error)}") from error
    return found.model_copy(update={name: Augment.model_fields[name].default for name in _UNUSED})


def _explain(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    problems = error.errors(include_url=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)


def normalise_of(normalise: Any) -> tuple[Colour, Colour] | None:
    """Return the mean and the standard deviation of pixels from 0 to 255, or None if `normalise` is None.

    If not None, `normalise` is a pair (mean, std) for pixels from 0 to 1, or a mapping with the keys mean and std, such
    as timm's data config. Raises UsageError for any other value.
    """
    if normalise is None:
        return None
    pair = (normalise["mean"], normalise["std"]) if isinstance(normalise, Mapping) else normalise
    try:
        mean, std = ((float(red), float(green), float(blue)) for red, green, blue in pair)
    except (TypeError, ValueError) as error:
        raise UsageError(f"normalise = {normalise!r}: expected (mean, std), three numbers each; {error}") from error
    if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in std):
        raise UsageError(f"normalise = {normalise!r}: expected mean and std for pixels in 0 to 1, such as {IMAGENET}")
    return _of_pixels(mean), _of_pixels(std)


def _of_pixels(colour: Colour) -> Colour:
    red, green, blue = (round(255 * value, 9) for value in colour)
    return red, green, blue
