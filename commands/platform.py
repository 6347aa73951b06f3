"""On systems other than Linux, refuses commands that need NVIDIA DALI."""

import sys

from headrace.shards.errors import UsageError


def need_linux(command: str) -> None:
    """Raise UsageError if this system is not Linux: `headrace COMMAND` needs DALI, which exists only for Linux."""
    if sys.platform != "linux":
        raise UsageError(
            f"`headrace {command}` needs Linux, because NVIDIA DALI, which decodes the images, exists only for Linux; "
            f"this is {sys.platform}. Commands that do not need DALI: inspect, verify, subset, recipes, report, runs, "
            "export, cache, clean"
        )
