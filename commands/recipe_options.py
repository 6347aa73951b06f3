"""Options that name a recipe or its values, and their completion in shells."""

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem


def recipe_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete to shipped recipes, and to the shell's own files."""
    from headrace.train.recipe.recipe import shipped_recipes

    names = [CompletionItem(name) for name in shipped_recipes() if name.startswith(begun)]
    # Files first: click's script for bash drops all that came before them. bash offers files if no name fits.
    return [CompletionItem(begun, type="file"), *names]


def setting_keys(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete keys for `--set`, such as train.epochs=. After the equals sign nothing is offered."""
    from headrace.train.recipe.recipe import Recipe

    sections = Recipe.model_fields.items()
    keys = [f"{section}.{key}=" for section, field in sections for key in field.default.__class__.model_fields]
    return [CompletionItem(key) for key in keys if key.startswith(begun) and not key.startswith("about.")]


def recipe_option(help_text: str) -> Callable[[Any], Any]:
    """`--recipe NAME|FILE`, also as -c."""
    return click.option("--recipe", "-c", metavar="NAME|FILE", shell_complete=recipe_names, help=help_text)


def settings_option(help_text: str) -> Callable[[Any], Any]:
    """`--set KEY=VALUE`, any number of times, as the parameter `settings`."""
    return click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", shell_complete=setting_keys, help=help_text
    )
