"""The running version of Headrace."""

from functools import cache
from pathlib import Path


@cache
def running_version() -> str:
    """The version of the installed package or, in a checkout that is not installed, of its project file."""
    from importlib import metadata  # noqa: PLC0415  half of the time that a command needs to start

    try:
        return metadata.version("headrace")
    except metadata.PackageNotFoundError:
        import tomllib  # noqa: PLC0415  as above

        project = Path(__file__).resolve().parents[1] / "pyproject.toml"
        return str(tomllib.loads(project.read_text("utf-8"))["project"]["version"])


def __getattr__(name: str) -> str:
    if name == "__version__":
        return running_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
