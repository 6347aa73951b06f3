"""Commands that need Linux, as NVIDIA DALI does."""

import sys

from headrace.shards.errors import UsageError


def need_linux(command: str) -> None:
    """Raise UsageError on any other system: `headrace COMMAND` decodes images, and DALI exists only for Linux."""
    if sys.platform != "linux":
        raise UsageError(
            f"`headrace {command}` needs Linux, because NVIDIA DALI, which decodes the images, exists only for Linux; "
            f"this is {sys.platform}. Commands that do not need DALI: inspect, verify, recipes, report, runs, export"
        )
