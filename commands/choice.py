"""An option with a few values, of which the first is the default: the same for all commands."""

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def choice(name: str, values: str, help_text: str) -> Decorator:
    """The option `name`; `values` are words with | between them."""
    words = values.split("|")
    return click.option(name, type=click.Choice(words), default=words[0], show_default=True, help=help_text)
