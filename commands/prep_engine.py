"""Chooses the engine that makes the shards of `headrace prep` (worker processes or Ray), and refuses wrong options."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from headrace.shards.streams import say
from headrace.shards.urls import Location, Url

if TYPE_CHECKING:
    from headrace.prep.make.engines.engine import Engine


def refuse_engine(engine: str, address: str | None, out: Location, others: Mapping[str, object]) -> None:
    """Raise click.UsageError for options that cannot be combined with `engine`, which is pool or ray.

    `others` has the values of the options that cannot be combined with --engine ray, by name.
    """
    if engine != "ray":
        if address is not None:
            raise click.UsageError("--ray-address needs --engine ray")
        return
    for name in (name for name, given in others.items() if given):
        raise click.UsageError(
            f"{name} cannot be combined with --engine ray, which itself divides the shards among hosts"
        )
    if isinstance(out, Url):
        raise click.UsageError(
            f"{out}: with --engine ray OUT must be a folder that all hosts share. For a URL, use --part on "
            "each host instead"
        )


@contextmanager
def chosen_engine(engine: str, address: str | None, source: Location, workers: int | None) -> Iterator["Engine"]:
    """Yield the engine with the name `engine` (pool or ray): a function that makes shards.

    Raises UsageError if the engine is ray, but Ray is not installed or does not answer at `address`.
    """
    if engine == "pool":
        from headrace.prep.make.engines.pool import make_shards

        yield make_shards
    else:
        from headrace.prep.make.engines.on_ray import on_ray

        with on_ray(address, source, workers, say) as made_by:
            yield made_by
