"""Writes run.json, the description of a run, when the run starts; reads run.json and recipe.toml."""

import json
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from headrace.shards import regular, store
from headrace.shards.home import without_home
from headrace.train.record.moments import Start

NAME = "run.json"


@dataclass(frozen=True)
class About:
    """The contents of run.json.

    A field that is missing in the file, or has the wrong type there, gets its default value.
    """

    recipe: str = ""  # a shipped one's name, or a file; "" if a checkpoint held it
    settings: tuple[str, ...] = ()  # changes to it, as "section.key=value"
    model: str = ""
    shard_set: str = ""  # its digest
    train_samples: int = 0
    validation_samples: int = 0
    epochs: int = 0
    steps: int = 0  # updates
    classes: tuple[str, ...] = ()  # ids, in the order of the labels
    class_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, start: Start, before: "About") -> Self:
        """Describe a run that starts; `before` is the earlier description in the run folder.

        If the run is resumed and no recipe is named, the recipe's name and settings of `before` are kept.
        """
        return cls(
            recipe=without_home(start.recipe_name or before.recipe),
            settings=(*(() if start.recipe_name else before.settings), *map(without_home, start.settings)),
            model=str(start.recipe["model"]["name"]),
            shard_set=start.shard_set,
            train_samples=start.train_samples,
            validation_samples=start.validation_samples,
            epochs=start.epochs,
            steps=start.steps,
            classes=start.classes,
            class_names=start.class_names,
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the run.json of a run folder; if the file cannot be read, all fields have their default values."""
        try:
            found = json.loads(regular.read(folder / NAME))
        except (OSError, ValueError, RecursionError):
            return cls()
        if not isinstance(found, dict):
            return cls()
        bare = cls()
        kept = {field.name: _like(found.get(field.name), getattr(bare, field.name)) for field in fields(cls)}
        return cls(**kept)

    def write(self, folder: Path) -> None:
        """Write run.json atomically."""
        store.write_bytes(folder / NAME, (json.dumps(asdict(self), indent=1) + "\n").encode())


def read_recipe(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the values of recipe.toml by section and key; empty if the file cannot be read."""
    try:
        found = tomllib.loads(regular.read(folder / "recipe.toml").decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {section: values for section, values in found.items() if isinstance(values, dict)}


def _like(value: Any, default: Any) -> Any:
    """Return the value if it has the default's type, otherwise the default; a list of strings becomes a tuple."""
    if isinstance(default, tuple):
        sound = isinstance(value, list) and all(isinstance(one, str) for one in value)
        return tuple(value) if sound else default
    return value if type(value) is type(default) else default
