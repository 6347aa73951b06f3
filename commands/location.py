"""Defines the type of command-line arguments that are folders or URLs."""

from typing import Any

import click

from headrace.shards.urls import Location, location


class LocationType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in some versions
    """The type of an argument that is a folder, or a URL of object storage or of a web server.

    Raises UsageError for any other URL.
    """

    name = "location"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Location:  # noqa: ARG002
        """Return the argument as a Url if it begins like a URL (SCHEME://), else as a Path."""
        return location(value)
