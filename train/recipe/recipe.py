"""Defines the recipe of a run: the values that decide its result, counted in samples and epochs, not per process.

A recipe is a TOML file with the sections of `Recipe`. An unknown key or a value out of range is an error that names the
key.
"""

import json
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import BaseModel, ValidationError, model_validator

from headrace.shards.errors import UsageError
from headrace.shards.paths import refuse_impossible
from headrace.train.recipe.runtime import Runtime
from headrace.train.recipe.sections import About, Augment, Evaluate, Model, Optim, Train
from headrace.train.recipe.values import CHOICES, Section


class Recipe(Section):
    """A whole recipe. Some values may be "auto" or "model"; the subclass `Settled` has known values in their place."""

    about: About = About()
    model: Model = Model()
    augment: Augment = Augment()
    train: Train = Train()
    optim: Optim = Optim()
    evaluate: Evaluate = Evaluate()
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> Self:
        if self.train.epochs != "auto" and self.optim.warmup_epochs >= self.train.epochs:
            raise ValueError(
                f"optim.warmup_epochs = {self.optim.warmup_epochs:g} must be less than train.epochs = "
                f"{self.train.epochs}: otherwise the learning rate never reaches its peak"
            )
        return self

    def toml(self) -> str:
        """Return the recipe as text in TOML, with every value written out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def result(self) -> dict[str, Any]:
        """Return the values that decide the result of a run: all sections except `about` and `runtime`."""
        return self.model_dump(mode="json", exclude={"about", "runtime"})

    def for_processes(self, processes: int) -> Self:
        """Return the recipe for this number of processes; only a recipe with `train.batch_per_process` changes."""
        batch = self.train.batch_per_process
        if batch is None:
            return self
        train = self.train.model_copy(update={"global_batch": batch * processes, "group": batch})
        return self.model_copy(update={"train": train})

    def with_settings(self, name: str, settings: Sequence[str]) -> "Recipe":
        """Return a copy with the `section.key=value` settings applied; `name` is the recipe's name in errors."""
        return _validated(self.model_dump(mode="json", exclude_none=True), name, settings)


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with Headrace."""
    files = resources.files("headrace.train.recipe.shipped").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """Return the shipped recipe called `name`, or the recipe in the TOML file at the path `name`.

    `settings` of the form `section.key=value` replace values of the recipe. Values that are "auto" or "model" are kept:
    a run replaces them with values that suit its shard set and its network.

    Raises UsageError for an invalid recipe or setting; the error names the key and the values that the key allows.
    """
    return _validated(_read(name), name, settings)


def _validated(values: dict[str, Any], name: str, settings: Sequence[str]) -> Recipe:
    for setting in settings:
        _apply(values, setting)
    try:
        # In strict mode JSON arrays are valid tuples and whole numbers valid floats, but "5" and 5.0 are no integers.
        return Recipe.model_validate_json(json.dumps(values, default=str), strict=True)
    except RecursionError as error:
        raise UsageError(
            f"recipe {name}: a value is nested far too deeply; no key of a recipe allows such a value"
        ) from error
    except ValidationError as error:
        raise UsageError(explain(name, error)) from error


def _read(name: str) -> dict[str, Any]:
    refuse_impossible(Path(name))
    if name in shipped_recipes():
        text = resources.files("headrace.train.recipe.shipped").joinpath(f"{name}.toml").read_bytes()
    elif Path(name).is_file():
        text = Path(name).read_bytes()
    else:
        raise UsageError(
            f"recipe {name}: neither a file nor a shipped recipe. Shipped recipes: {', '.join(shipped_recipes())}"
        )
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # invalid TOML or UTF-8, or a number with thousands of digits
        raise UsageError(f"recipe {name}: not valid TOML: {error}") from error


def _apply(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    section, dot, name = key.strip().partition(".")
    if not equals or not dot:
        raise UsageError(f"--set {setting}: expected section.key=value, such as train.epochs=5")
    table = values.setdefault(section, {})
    if not isinstance(table, dict):
        raise UsageError(f"--set {setting}: {section} is not a section of the recipe")
    try:
        table[name] = tomllib.loads(f"value = {text.strip()}")["value"]
    except (ValueError, RecursionError):
        table[name] = text.strip()  # a bare word is a string, as on any command line


def explain(name: str, error: ValidationError) -> str:
    """Return an error text about the recipe called `name`: what is wrong with each invalid value, with its key."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"] if part not in CHOICES)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key{_known(problem['loc'])}")
        else:
            seen = "" if isinstance(problem["input"], dict) else f", not {problem['input']!r}"
            choice = "".join(CHOICES[part] for part in problem["loc"] if part in CHOICES and isinstance(part, str))
            what = problem["msg"].removeprefix("Value error, ") + choice + seen
            lines.append(f"{key}: {what}" if key else what)
    return f"recipe {name}: " + "; ".join(lines)


def _known(location: tuple[int | str, ...]) -> str:
    fields = Recipe.model_fields
    for part in location[:-1]:
        section = fields[str(part)].annotation if str(part) in fields else None
        if not isinstance(section, type) or not issubclass(section, BaseModel):
            return ""
        fields = section.model_fields
    return f"; known keys: {', '.join(sorted(fields))}"
