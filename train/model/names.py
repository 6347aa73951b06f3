"""Tells from the name of a network which package builds it."""

TIMM = "timm/"
"""The prefix of timm's networks in a recipe."""
FAMILIES = ("efficientnet", "timm")


def family_of(name: str) -> str:
    """Return the family of the network called `name`, "efficientnet" or "timm"; checkpoints record the family."""
    return "timm" if name.startswith(TIMM) else "efficientnet"
