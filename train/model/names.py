"""Tells from the name of a network which package builds it."""

TIMM = "timm/"
"""The prefix of timm's networks in a recipe."""
FAMILIES = ("efficientnet", "timm")


def family_of(name: str) -> str:
    """Return the family of a network, which checkpoints record."""
    return "timm" if name.startswith(TIMM) else "efficientnet"
