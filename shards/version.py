"""The version of Headrace that is running."""

import tomllib
from importlib import metadata
from pathlib import Path


def _version() -> str:
    """That of the installed package; in a checkout that is not installed, what its project file says."""
    try:
        return metadata.version("headrace")
    except metadata.PackageNotFoundError:
        project = Path(__file__).resolve().parents[1] / "pyproject.toml"
        return str(tomllib.loads(project.read_text("utf-8"))["project"]["version"])


__version__ = _version()
