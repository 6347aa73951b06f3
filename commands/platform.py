"""Refuses commands that need NVIDIA DALI on systems other than Linux."""

import sys

from headrace.shards.errors import UsageError


def need_linux(command: str) -> None:
    """Raise UsageError unless this is Linux: `headrace COMMAND` decodes images with DALI, which exists only there."""
    if sys.platform != "linux":
        raise UsageError(
            f"`headrace {command}` needs Linux, because NVIDIA DALI, which decodes the images, exists only for Linux; "
            f"this is {sys.platform}. Commands that do not need DALI: inspect, verify, subset, recipes, report, runs, "
            "export, cache, clean"
        )
