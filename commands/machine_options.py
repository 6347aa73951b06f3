"""Defines the options --nproc and --device: how many processes a command starts, and on which device they compute."""

from collections.abc import Callable
from typing import Any

import click

nproc_option = click.option(
    "--nproc",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of processes to start on this machine.",
)


def device_option(help_text: str = "Short for --set runtime.device=...") -> Callable[[Any], Any]:
    """Return the option `--device auto|cpu|cuda`; its value is None if the user omits the option."""
    return click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help=help_text)
