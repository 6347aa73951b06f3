"""Headrace trains image classifiers from WebDataset tar shards, with a fast data pipeline.

Importing `headrace` loads none of its modules: each public name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.predicting import load_model
    from headrace.prep.library import make_shards, verify_shards
    from headrace.shards.errors import DataError, HeadraceError, UsageError
    from headrace.shards.shardset import ShardSet
    from headrace.shards.version import __version__ as __version__
    from headrace.train.input.loader import Loader
    from headrace.train.recipe.recipe import Recipe, load_recipe
    from headrace.train.record.callback import Callback
    from headrace.train.run.library import fit

_HOMES = {
    "Callback": "headrace.train.record.callback",
    "DataError": "headrace.shards.errors",
    "HeadraceError": "headrace.shards.errors",
    "Loader": "headrace.train.input.loader",
    "Recipe": "headrace.train.recipe.recipe",
    "ShardSet": "headrace.shards.shardset",
    "UsageError": "headrace.shards.errors",
    "__version__": "headrace.shards.version",
    "fit": "headrace.train.run.library",
    "load_model": "headrace.predicting",
    "load_recipe": "headrace.train.recipe.recipe",
    "make_shards": "headrace.prep.library",
    "verify_shards": "headrace.prep.library",
}

__all__ = [
    "Callback",
    "DataError",
    "HeadraceError",
    "Loader",
    "Recipe",
    "ShardSet",
    "UsageError",
    "__version__",
    "fit",
    "load_model",
    "load_recipe",
    "make_shards",
    "verify_shards",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
