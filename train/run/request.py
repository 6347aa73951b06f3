"""What the user asked for, and what is wrong with it that can be told before torch and DALI are loaded."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from headrace.shards import manifest
from headrace.shards.paths import refuse_impossible
from headrace.train.recipe.recipe import Recipe, load_recipe
from headrace.train.record.console import Show

DEFAULT_RECIPE = "finetune"


@dataclass(frozen=True)
class Request:
    """What the user asked for. `resume`: None, "last" (must exist), "auto" (may), or a path; `override`: see resume."""

    shards: Path
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    weights: Path | None = None
    out: Path | None = None
    resume: str | None = None
    override: tuple[str, ...] = ()
    profile: int | None = None  # steps of a trace
    show: Show = field(default="lines", compare=False)
    made: float = field(default_factory=time.monotonic, compare=False)  # when: seconds of the monotonic clock

    def __post_init__(self) -> None:
        for path in (self.weights, self.out, self.resume):
            if path is not None:
                refuse_impossible(Path(path))

    @property
    def recipe_name(self) -> str:
        """The recipe that is named, or the default one."""
        return self.recipe or DEFAULT_RECIPE

    def read_recipe(self) -> Recipe:
        """The recipe of that name with the settings applied. Raises UsageError."""
        settings = [*self.settings, 'model.init="file"'] if self.weights is not None else self.settings
        return load_recipe(self.recipe_name, settings)

    def refuse_early(self) -> None:
        """Raise the errors of a set that is not there and of a recipe that is none, in a fraction of a second.

        `resolve` refuses the rest. A recipe that comes from a checkpoint is not looked at here.
        """
        manifest.load(self.shards)
        if self.resume is None or self.recipe is not None:
            self.read_recipe()
