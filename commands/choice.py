"""Makes command-line options that accept one of a few words; the first word is the default."""

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def choice(name: str, values: str, help_text: str) -> Decorator:
    """Return a command-line option called `name`, which accepts one of several words.

    `values` has the accepted words, separated by |; the first word is the default.
    """
    words = values.split("|")
    return click.option(name, type=click.Choice(words), default=words[0], show_default=True, help=help_text)
