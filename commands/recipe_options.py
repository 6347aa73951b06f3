"""Defines the options --recipe and --set, with completion of their values in shells."""

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem


def recipe_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the completions of `begun`, the typed text: names of shipped recipes, and paths of files."""
    from headrace.train.recipe.recipe import shipped_recipes

    names = [CompletionItem(name) for name in shipped_recipes() if name.startswith(begun)]
    # The item for files comes first, because click's script for bash drops all items before it.
    return [CompletionItem(begun, type="file"), *names]


def setting_keys(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the recipe keys that begin with the text `begun`, such as train.epochs=; values are not completed."""
    from headrace.train.recipe.recipe import Recipe

    sections = Recipe.model_fields.items()
    keys = [f"{section}.{key}=" for section, field in sections for key in field.default.__class__.model_fields]
    return [CompletionItem(key) for key in keys if key.startswith(begun) and not key.startswith("about.")]


def recipe_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option `--recipe NAME|FILE`, with the short form -c."""
    return click.option("--recipe", "-c", metavar="NAME|FILE", shell_complete=recipe_names, help=help_text)


def settings_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option `--set KEY=VALUE`, which may be repeated; its values are passed as the parameter `settings`."""
    return click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", shell_complete=setting_keys, help=help_text
    )
