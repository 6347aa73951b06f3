"""Writes pictures as SVG files: equal values give equal bytes."""

from pathlib import Path
from typing import Any


def pyplot() -> Any:
    """The module pyplot of matplotlib, set up to draw SVG files. matplotlib is not a requirement of this project."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "headrace"
    from matplotlib import pyplot as plt

    return plt


def save(figure: Any, path: Path) -> None:
    """Write a figure without the date."""
    figure.savefig(path, metadata={"Date": None})
