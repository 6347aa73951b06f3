"""Finds the package that builds a network by the network's name."""

TIMM = "timm/"
"""The prefix of timm's networks in a recipe."""
FAMILIES = ("efficientnet", "timm")


def family_of(name: str) -> str:
    """Return the family of a network, which checkpoints record."""
    return "timm" if name.startswith(TIMM) else "efficientnet"
