"""Pictures as SVG files: the same values give the same bytes."""

from pathlib import Path
from typing import Any


def pyplot() -> Any:
    """The module of matplotlib, which is no requirement of this project, set up to draw SVG files."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "headrace"
    from matplotlib import pyplot as plt

    return plt


def save(figure: Any, path: Path) -> None:
    """Write a figure, without the date."""
    figure.savefig(path, metadata={"Date": None})
