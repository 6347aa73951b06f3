"""Defines the user's request for a run, with the checks that are possible before torch and DALI are loaded."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from headrace.shards import manifest
from headrace.shards.paths import refuse_impossible
from headrace.shards.remote import Remote
from headrace.shards.urls import Location, Url, is_url
from headrace.train.recipe.recipe import Recipe, load_recipe
from headrace.train.record.console import Show

DEFAULT_RECIPE = "finetune"


@dataclass(frozen=True)
class Request:
    """The user's request for a training run.

    `resume` is None for a new run. "last" means the last checkpoint in `out`, which must exist. "auto" means the last
    checkpoint in `out` or, if there is none, a new run. Any other value is the path or URL of a checkpoint.
    """

    shards: Location
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    weights: Path | None = None
    out: Path | None = None
    resume: str | None = None
    override: tuple[str, ...] = ()
    profile: int | None = None  # number of steps to trace
    show: Show = field(default="lines", compare=False)
    made: float = field(default_factory=time.monotonic, compare=False)  # when, in seconds of the monotonic clock

    def __post_init__(self) -> None:
        for path in (self.weights, self.out, self.resume):
            if path is not None and not is_url(str(path)):
                refuse_impossible(Path(path))

    @property
    def recipe_name(self) -> str:
        """The name of the requested recipe, or of the default recipe if none was requested."""
        return self.recipe or DEFAULT_RECIPE

    def read_recipe(self) -> Recipe:
        """Read the requested recipe and apply the settings. Raises UsageError if the recipe or a setting is invalid."""
        settings = [*self.settings, 'model.init="file"'] if self.weights is not None else self.settings
        return load_recipe(self.recipe_name, settings)

    def refuse_early(self) -> None:
        """Raise the error of a missing shard set or an invalid recipe at once, before torch is loaded.

        `headrace.train.run.resolve.resolve` makes all other checks, such as whether the recipe of a checkpoint is
        valid.
        """
        if isinstance(self.shards, Url):
            Remote(self.shards)  # checks only the URL and the package; where tars go depends on the recipe
        else:
            manifest.load(self.shards)
        if self.resume is None or self.recipe is not None:
            self.read_recipe()
