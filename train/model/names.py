"""Tells by its name which package builds a network."""

TIMM = "timm/"
"""The prefix of timm's networks in a recipe."""
FAMILIES = ("efficientnet", "timm")


def family_of(name: str) -> str:
    """The family that a checkpoint records for its network."""
    return "timm" if name.startswith(TIMM) else "efficientnet"
