"""Refuses commands that need NVIDIA DALI on systems other than Linux."""

import sys

from headrace.shards.errors import UsageError


def need_linux(command: str) -> None:
    """Raise UsageError if this system is not Linux, because `headrace COMMAND` needs DALI, which exists only there."""
    if sys.platform != "linux":
        raise UsageError(
            f"`headrace {command}` needs NVIDIA DALI, which exists only for Linux, but this system is {sys.platform}. "
            "Commands that do not need DALI: inspect, verify, subset, recipes, report, runs, export, cache, clean"
        )
